// Which server the proof runs on, and how to reach it.
import { Redis, type RedisOptions } from "../mod.ts";
import {
  type Connection,
  dial,
  type EndpointOptions,
  open,
} from "../pool/mod.ts";
import type { Arguments } from "./arguments.ts";
import { UsageError } from "./command_line.ts";
import {
  adviceOf,
  endpointOf,
  type Origin,
  targetOf,
  textOf,
  trustOf,
} from "./target.ts";

/** A server that answers. */
export interface Server extends AsyncDisposable {
  /** A client of it. */
  connect(options: RedisOptions): Redis;
  /** A connection to it that nobody else knows. */
  open(options: EndpointOptions, signal: AbortSignal): Promise<Connection>;
  readonly environment: Environment;
}

/** What the proof ran with. */
export interface Environment {
  readonly deno: string;
  readonly system: string;
  /** Name and version, as far as it tells. */
  readonly server: string;
  /** Where the address came from. */
  readonly origin: Origin | "started for this run";
  /** `host:port`. */
  readonly endpoint: string;
  readonly tls: boolean;
}

const TIMEOUT_MS = 5000;

/** @throws {UsageError} If there is no server, or none that can be used. */
export async function findServer(
  { url: given, ca }: Arguments,
): Promise<Server> {
  const target = targetOf(given);
  if (target === undefined && ca !== undefined) {
    throw new UsageError(
      "Cannot use --ca: it is for a rediss:// URL, and there is neither --url nor REDIS_URL",
    );
  }
  const own = target === undefined ? await start() : undefined;
  try {
    const { url, origin } = target ??
      { url: own!.url, origin: "started for this run" } as const;
    const trust = await trustOf(ca);
    const endpoint = endpointOf(url, trust, origin);
    const connect = (options: RedisOptions) =>
      new Redis(url, { ...options, ...trust });
    return {
      connect,
      open: (options, signal) =>
        open(endpointOf(url, { ...options, ...trust }, origin), {
          dial,
          connectTimeoutMs: TIMEOUT_MS,
          replyTimeoutMs: TIMEOUT_MS,
          number: 1,
          signal,
        }),
      environment: {
        deno: Deno.version.deno,
        system: `${Deno.build.os} ${Deno.build.arch}`,
        server: await identify(connect),
        origin,
        endpoint: `${endpoint}`,
        tls: endpoint.tls !== undefined,
      },
      [Symbol.asyncDispose]: async () => await own?.[Symbol.asyncDispose](),
    };
  } catch (error) {
    await own?.[Symbol.asyncDispose]();
    throw error;
  }
}

async function start(): Promise<{ readonly url: string } & AsyncDisposable> {
  // Only now: users with a server of their own need none of it.
  const { startRedis } = await import("./redis_server.ts");
  try {
    return await startRedis();
  } catch (error) {
    throw new UsageError(`${textOf(error)}, or name a server with --url`);
  }
}

/** Asks the server what it is, and so whether it can be used at all. */
async function identify(connect: Server["connect"]): Promise<string> {
  await using redis = connect({ maxConnections: 1, retry: false });
  try {
    const [, info] = await redis.pipeline([["PING"], ["INFO", "server"]]);
    return nameIn(`${info}`);
  } catch (error) {
    throw new UsageError(adviceOf(error));
  }
}

function nameIn(info: string): string {
  const version = (name: string) =>
    new RegExp(`^${name}_version:(\\S+)`, "m").exec(info)?.[1];
  // Valkey tells a redis_version as well.
  const [valkey, redis] = [version("valkey"), version("redis")];
  if (valkey !== undefined) return `Valkey ${valkey}`;
  return redis === undefined
    ? "of unknown version: INFO is refused"
    : `Redis ${redis}`;
}
