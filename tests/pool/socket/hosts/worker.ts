// A Worker that dials: each request is a case, and its answer says how it went. It runs in workerd.
import { Redis, type RedisOptions, WebhookRecorder } from "../../../../mod.ts";

/** What a case is asked with. */
export interface CaseInput {
  readonly url: string;
  readonly options?: RedisOptions;
  /** How many bytes to send, or how many milliseconds to wait. */
  readonly amount?: number;
}

/** An error as JSON. */
export interface ErrorAsJson {
  readonly name: string;
  readonly message: string;
  readonly fate?: string;
  /** Of a `DialError`. */
  readonly phase?: string;
  readonly isRetriable?: boolean;
  /** Of a `SocketError` behind it. */
  readonly how?: string;
}

/** What a case has come to. */
export type CaseOutcome =
  | { readonly value: unknown; readonly ms: number }
  | { readonly error: ErrorAsJson; readonly ms: number };

function asJson(error: unknown): ErrorAsJson {
  const { name, message, fate, phase, isRetriable, cause } = error as
    & ErrorAsJson
    & { cause?: ErrorAsJson };
  return {
    name,
    message,
    ...(fate && { fate }),
    ...(phase && { phase }),
    ...(isRetriable !== undefined && { isRetriable }),
    ...(cause?.how && { how: cause.how }),
  };
}

/** The client and the recorder of all requests, which they must not be. */
let shared: Redis | undefined;
let sharedRecorder: WebhookRecorder | undefined;

const CASES: Record<string, (input: CaseInput) => Promise<unknown>> = {
  async echo({ url, options }) {
    const redis = new Redis(url, options);
    const reply = await redis.send(["ECHO", "hello"]);
    await redis.close();
    return reply;
  },

  /** Sends many bytes, and reads them back. */
  async bulk({ url, options, amount = 1 }) {
    const redis = new Redis(url, options);
    const bytes = new Uint8Array(amount).map((_, i) => i * i % 251);
    await redis.send(["SET", "bulk", bytes]);
    const reply = await redis.send(["GET", "bulk"], { binary: true });
    await redis.close();
    return reply?.every((byte, i) => byte === bytes[i]) ? reply.length : -1;
  },

  /** Sends many bytes. */
  async upload({ url, options, amount = 1 }) {
    const redis = new Redis(url, options);
    const reply = await redis.send(["SET", "bulk", new Uint8Array(amount)]);
    await redis.close();
    return reply;
  },

  /** How the connection ends, and what the next command gets. */
  async ended({ url, options, amount = 0 }) {
    const ends: string[] = [];
    const redis = new Redis(url, {
      ...options,
      onClose: ({ by, how }) => ends.push(`${by} ${how}`),
    });
    await redis.send(["SET", "ended", "1"]);
    await new Promise((resolve) => setTimeout(resolve, amount));
    const next = await redis.send(["SET", "ended", "2"])
      .catch((error) => asJson(error).name);
    await redis.close();
    return { next, end: ends[0] };
  },

  /** One command for each way to send one. */
  async ways({ url }) {
    const redis = new Redis(url);
    const replies = await waysOf(redis);
    await redis.close();
    return replies;
  },

  /** The same, by the client of all requests. */
  async shared({ url }) {
    return await waysOf(shared ??= new Redis(url));
  },

  async sharedRecorder({ url }) {
    const recorder = sharedRecorder ??= new WebhookRecorder(new Redis(url));
    const event = { mallId: "m", shopNo: 1, eventType: "e" };
    return [
      await recorder.record(event).then(({ status }) => status, asJson),
      await recorder.flush().then(() => "flushed", asJson),
    ];
  },
};

async function waysOf(redis: Redis): Promise<unknown[]> {
  const ways = [
    () => redis.send(["INCR", "sent"]),
    () => redis.pipeline([["INCR", "sent"]]),
    () => redis.transaction([["INCR", "sent"]]),
    async () => {
      await using lease = await redis.lease();
      return await lease.send(["INCR", "sent"]);
    },
    () => redis.send(["BLMPOP", 0.01, 1, "none", "LEFT"]),
  ];
  const replies = [];
  for (const way of ways) {
    replies.push(await way().catch((error) => asJson(error)));
  }
  return replies;
}

export default {
  async fetch(request: Request): Promise<Response> {
    const name = new URL(request.url).pathname.slice(1);
    const startedAt = performance.now();
    let outcome: { value: unknown } | { error: ErrorAsJson };
    try {
      outcome = { value: await CASES[name]!(await request.json()) };
    } catch (error) {
      outcome = { error: asJson(error) };
    }
    return Response.json({ ...outcome, ms: performance.now() - startedAt });
  },
};
