// Test 3: webhook events while every connection is killed, again and again.
import { delay } from "@std/async/delay";
import {
  type Redis,
  ReplyError,
  type WebhookEvent,
  WebhookRecorder,
} from "../../mod.ts";
import { LateSockets } from "./late_socket.ts";
import type { Server } from "./server.ts";
import { messageOf } from "../target.ts";
import type { Zombies } from "./zombie.ts";

/** The outcome of test 3. */
export interface EventsResult {
  readonly events: number;
  /** Members of the sorted sets afterwards. */
  readonly stored: number;
  /** How many calls of `record()` resolved with each status. */
  readonly outcomes: Readonly<
    Record<"recorded" | "queued" | "dropped", number>
  >;
  /** How often every connection was killed. */
  readonly rounds: number;
  readonly connectionsKilled: number;
  readonly replays: number;
  readonly retries: number;
  /** The longest call, in milliseconds. */
  readonly longestMs: number;
  /** What the last attempt failed with; if it succeeded, why an event was not recorded at once. */
  readonly lastError: string | null;
}

/** Options of {@linkcode testEvents}. */
export interface EventsOptions {
  readonly keyPrefix: string;
  readonly clientName: string;
  readonly admin: Redis;
  readonly signal: AbortSignal;
  /** Called with the number of events that have an outcome. */
  readonly onProgress: (done: number) => void;
}

export const EVENTS = 1000;
export const KILL_EVERY_MS = 100;
/** So many together, then a pause, so that the kills hit a service at work and not one burst. */
const TOGETHER = 10;
const PAUSE_MS = 15;
/** How long queued events may take to be delivered after the kills, in milliseconds. */
const FLUSH_MS = 5_000;
/** When the sets expire if the proof is killed, in seconds. */
const RETENTION_SECONDS = 600;

const TYPES = ["orders_create", "orders_paid", "refunds", "stock", "members"];
const SHOPS = [1, 2];

/** The sorted sets that the events go to. */
export const keysOf = (prefix: string): string[] =>
  SHOPS.flatMap((shopNo) =>
    TYPES.map((eventType) => keyOf(prefix, { shopNo, eventType }))
  );

const keyOf = (
  prefix: string,
  { shopNo, eventType }: Pick<WebhookEvent, "shopNo" | "eventType">,
): string => `${prefix}events_${shopNo}_${eventType}`;

/** Records events while the connections that carry them are killed. */
export async function testEvents(
  server: Server,
  zombies: Zombies,
  { keyPrefix, clientName, admin, signal, onProgress }: EventsOptions,
): Promise<EventsResult> {
  const sockets = new LateSockets();
  await using redis = server.connect({ clientName, dial: sockets.dial });
  let lastError: string | null = null;
  await using recorder = new WebhookRecorder(redis, {
    onError: (error) => lastError = messageOf(error),
    keyOf: (event) => keyOf(keyPrefix, event),
    retentionSeconds: RETENTION_SECONDS,
  });
  const outcomes = { recorded: 0, queued: 0, dropped: 0 };
  let done = 0;
  let longestMs = 0;
  async function record(i: number): Promise<void> {
    const startedAt = performance.now();
    const { status } = await recorder.record({
      mallId: "verify",
      shopNo: SHOPS[i % SHOPS.length]!,
      eventType: TYPES[i % TYPES.length]!,
    });
    longestMs = Math.max(longestMs, performance.now() - startedAt);
    outcomes[status]++;
    done++;
  }

  const killing = new AbortController();
  const kills = killRepeatedly(
    () => zombies.makeAll(clientName, sockets),
    AbortSignal.any([killing.signal, signal]),
  );
  kills.catch(() => {}); // awaited below, unless the events fail first
  try {
    const calls: Promise<void>[] = [];
    while (calls.length < EVENTS) {
      for (let i = 0; i < TOGETHER; i++) calls.push(record(calls.length));
      await delay(PAUSE_MS, { signal });
      onProgress(done);
    }
    await Promise.all(calls);
  } finally {
    killing.abort();
  }
  const { rounds, connectionsKilled } = await kills;
  await recorder
    .flush({ signal: AbortSignal.any([signal, AbortSignal.timeout(FLUSH_MS)]) })
    .catch(() => signal.throwIfAborted());

  const { lastError: stillFails } = recorder.stats();
  if (stillFails !== undefined) lastError = messageOf(stillFails);

  const sizes = await admin.pipeline(
    keysOf(keyPrefix).map((key) => ["ZCARD", key] as const),
    { signal },
  );
  const refusal = sizes.find((size) => size instanceof ReplyError);
  if (refusal !== undefined) throw refusal;
  const { replays, retries } = redis.stats();
  return {
    events: EVENTS,
    stored: sizes.reduce<number>((sum, size) => sum + Number(size), 0),
    outcomes,
    rounds,
    connectionsKilled,
    replays,
    retries,
    longestMs: Math.round(longestMs),
    lastError,
  };
}

async function killRepeatedly(
  killAll: () => Promise<number>,
  signal: AbortSignal,
): Promise<{ rounds: number; connectionsKilled: number }> {
  let rounds = 0;
  let connectionsKilled = 0;
  for (;; rounds++) {
    await delay(KILL_EVERY_MS, { signal }).catch(() => {});
    if (signal.aborted) return { rounds, connectionsKilled };
    connectionsKilled += await killAll();
  }
}
