// Tests 1 and 2: requests on connections that the server has closed.
import type { CloseReport, RedisOptions } from "../../mod.ts";
import { LateSockets } from "./late_socket.ts";
import type { Observer, ShortVerdict } from "./observer.ts";
import type { Server } from "./server.ts";
import type { Zombies } from "./zombie.ts";

/** The outcome of one request. */
export interface RequestResult {
  /** The error that the caller got, if any. */
  readonly error: { readonly name: string; readonly message: string } | null;
  /** Times that commands were sent again at once, on a fresh connection. */
  readonly replays: number;
  /** Attempts made after a wait. */
  readonly retries: number;
  /** From the first command written to the last reply, in milliseconds. */
  readonly tookMs: number;
  /** Why its connection was closed. */
  readonly verdict: ShortVerdict | null;
}

/** The outcome of all requests of a test. */
export interface RequestsResult {
  readonly failed: number;
  readonly requests: readonly RequestResult[];
}

/** Options of {@linkcode testRequests}. */
export interface RequestsOptions {
  readonly requests: number;
  readonly key: string;
  /** The option of the client; `undefined` for its default. */
  readonly retry: RedisOptions["retry"] | undefined;
  readonly clientName: string;
  /** Finds out why the connections were closed. */
  readonly observer: Observer;
  readonly signal: AbortSignal;
  /** Called with each outcome. */
  readonly onRequest: (result: RequestResult, number: number) => void;
}

/** When the key expires if the proof is killed, in seconds. */
const EXPIRE_SECONDS = 60;

/** Sends requests, each on a zombie of its own. */
export async function testRequests(
  server: Server,
  zombies: Zombies,
  options: RequestsOptions,
): Promise<RequestsResult> {
  const results: RequestResult[] = [];
  while (results.length < options.requests) {
    const result = await request(server, zombies, options);
    results.push(result);
    options.onRequest(result, results.length);
  }
  return {
    failed: results.filter(({ error }) => error !== null).length,
    requests: results,
  };
}

async function request(
  server: Server,
  zombies: Zombies,
  { key, retry, clientName, observer, signal }: RequestsOptions,
): Promise<RequestResult> {
  const sockets = new LateSockets();
  let close: CloseReport | undefined;
  await using redis = server.connect({
    clientName,
    maxConnections: 1,
    dial: sockets.dial,
    onClose: (report) => close ??= report,
    ...retry === undefined ? {} : { retry },
  });
  await redis.send(["PING"], { signal });
  await observer.takeBaseline();
  await zombies.make(redis, sockets);

  const startedAt = performance.now();
  let error: RequestResult["error"] = null;
  try {
    const value = crypto.randomUUID();
    await redis.send(["SET", key, value, "EX", EXPIRE_SECONDS], { signal });
    const got = await redis.send(["GET", key], { signal });
    await redis.send(["DEL", key], { signal });
    if (got !== value) throw new Error(`GET gave ${got} after SET of ${value}`);
  } catch (thrown) {
    signal.throwIfAborted();
    if (!(thrown instanceof Error)) throw thrown;
    error = { name: thrown.name, message: thrown.message };
  }
  const { replays, retries } = redis.stats();
  const tookMs = Math.round(performance.now() - startedAt);
  const verdict = close === undefined
    ? null
    : await observer.investigate(close);
  return { error, replays, retries, tookMs, verdict };
}
