// The server that the proof runs on: one that the user names, or one that is started.
import { Redis, type RedisOptions, ReplyError } from "../../mod.ts";
import type { Connection } from "../../pool/connection/connection.ts";
import { open } from "../../pool/connection/open.ts";
import { dial } from "../../pool/socket/dial.ts";
import type { Endpoint, EndpointOptions } from "../../pool/socket/endpoint.ts";
import { type Arguments, PERMISSIONS_TO_START } from "./arguments.ts";
import { UsageError } from "../command_line.ts";
import {
  adviceOf,
  endpointOf,
  messageOf,
  targetOf,
  type UrlSource,
} from "../target.ts";
import { tlsOf } from "../tls.ts";

/** A server that answered. */
export interface Server extends AsyncDisposable {
  /** Makes a client of it. */
  connect(options: RedisOptions): Redis;
  /** Opens a connection to it, outside of any pool. */
  open(options: EndpointOptions, signal: AbortSignal): Promise<Connection>;
  readonly environment: Environment;
}

/** Where the proof ran. */
export interface Environment {
  readonly deno: string;
  readonly system: string;
  /** Name and version, if it says them. */
  readonly server: string;
  /** Where its URL came from; called `origin` since the JSON document calls it so. */
  readonly origin: UrlSource | "started for this run";
  /** `host:port`. */
  readonly endpoint: string;
  readonly tls: boolean;
}

const TIMEOUT_MS = 5000;

/**
 * Finds the server, or starts one.
 *
 * @throws {UsageError} If there is none, or none that can be used.
 */
export async function findServer(args: Arguments): Promise<Server> {
  const target = await permitted(() => targetOf(args));
  const own = target === undefined ? await start() : undefined;
  try {
    const { url, urlFrom } = target ??
      { url: own!.url, urlFrom: "started for this run" } as const;
    const trust = await tlsOf(args);
    const endpoint = endpointOf(url, trust, urlFrom);
    refuseSeveral(endpoint, urlFrom);
    const connect = (options: RedisOptions) =>
      new Redis(url, { ...options, ...trust });
    return {
      connect,
      open: (options, signal) =>
        open(endpointOf(url, { ...options, ...trust }, urlFrom), {
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
        origin: urlFrom,
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

/** @throws {UsageError} If the endpoint may be more than one server. */
function refuseSeveral(
  { cluster, sentinel }: Endpoint,
  urlFrom: Environment["origin"],
): void {
  if (!cluster && sentinel === undefined) return;
  const one = cluster
    ? "one of its nodes, without cluster and seeds"
    : "the primary itself (SENTINEL GET-MASTER-ADDR-BY-NAME says it), without sentinel and seeds";
  throw new UsageError(
    `Cannot use ${urlFrom}: the proof is made against one server; expected the URL of ${one}. ` +
      "The watch takes this URL as it is",
  );
}

async function start(): Promise<{ readonly url: string } & AsyncDisposable> {
  // Imported here, since most users have a server of their own.
  const { startRedis } = await import("../redis_server.ts");
  return await permitted(async () => {
    try {
      return await startRedis();
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      throw new UsageError(`${messageOf(error)}, or name a server with --url`);
    }
  });
}

/** Runs what needs a permission only where no server is named. */
async function permitted<T>(run: () => T | Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    throw new UsageError(
      `Cannot start a server: ${error.message.replace(/, run again.*/, "")}; ` +
        "name a server with --url and --allow-net, or grant the permissions to start one: " +
        PERMISSIONS_TO_START.join(" "),
    );
  }
}

/** Asks the server for its name and version, and so whether it can be used at all. */
async function identify(connect: Server["connect"]): Promise<string> {
  await using redis = connect({ maxConnections: 1, retry: false });
  try {
    const [, info] = await redis.pipeline([["PING"], ["INFO", "server"]]);
    return info instanceof ReplyError
      ? "of unknown version: it refuses INFO"
      : nameIn(info);
  } catch (error) {
    throw new UsageError(adviceOf(error));
  }
}

function nameIn(info: string): string {
  const version = (name: string) =>
    new RegExp(`^${name}_version:(\\S+)`, "m").exec(info)?.[1];
  // Valkey has a redis_version as well.
  const [valkey, redis] = [version("valkey"), version("redis")];
  if (valkey !== undefined) return `Valkey ${valkey}`;
  return redis === undefined ? "of unknown version" : `Redis ${redis}`;
}
