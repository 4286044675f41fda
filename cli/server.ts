// Which server the proof runs on, and how to reach it.
import { Redis, type RedisOptions } from "../mod.ts";
import type { Connection } from "../pool/connection/connection.ts";
import { open } from "../pool/connection/open.ts";
import { dial } from "../pool/socket/dial.ts";
import type { EndpointOptions } from "../pool/socket/endpoint.ts";
import { type Arguments, PERMISSIONS_TO_START } from "./proof/arguments.ts";
import { UsageError } from "./command_line.ts";
import {
  adviceOf,
  endpointOf,
  type Origin,
  targetOf,
  textOf,
} from "./target.ts";
import { tlsOf } from "./tls.ts";

/** A server that answers. */
export interface Server extends AsyncDisposable {
  /** A client of it. */
  connect(options: RedisOptions): Redis;
  /** A connection to it, outside of any pool. */
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
export async function findServer(args: Arguments): Promise<Server> {
  const target = await permitted(() => targetOf(args));
  const own = target === undefined ? await start() : undefined;
  try {
    const { url, origin } = target ??
      { url: own!.url, origin: "started for this run" } as const;
    const trust = await tlsOf(args);
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
  return await permitted(async () => {
    try {
      return await startRedis();
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      throw new UsageError(`${textOf(error)}, or name a server with --url`);
    }
  });
}

/** Runs what is needed only where no server is named. */
async function permitted<T>(run: () => T | Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    throw new UsageError(
      `Cannot start a server: ${error.message.replace(/, run again.*/, "")}; ` +
        "name a server with --url and --allow-net, or allow what starting one takes: " +
        PERMISSIONS_TO_START.join(" "),
    );
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
