// Which server the proof runs on, and how to reach it.
import { Redis, type RedisOptions } from "../mod.ts";
import { Endpoint } from "../pool/mod.ts";
import { type Arguments, UsageError } from "./arguments.ts";

/** A server that answers. */
export interface Server extends AsyncDisposable {
  /** A client of it. */
  connect(options: RedisOptions): Redis;
  readonly environment: Environment;
}

/** What the proof ran with. */
export interface Environment {
  readonly deno: string;
  readonly system: string;
  /** Name and version, as far as it tells. */
  readonly server: string;
  /** Where the address came from. */
  readonly origin: "--url" | "REDIS_URL" | "started for this run";
  /** `host:port`. */
  readonly endpoint: string;
  readonly tls: boolean;
}

/** @throws {UsageError} If there is no server, or none that can be used. */
export async function findServer(
  { url: given, ca }: Arguments,
): Promise<Server> {
  const origin = given !== undefined
    ? "--url"
    : fromEnvironment() !== undefined
    ? "REDIS_URL"
    : "started for this run";
  if (origin === "started for this run" && ca !== undefined) {
    throw new UsageError(
      "Cannot use --ca: it is for a rediss:// URL, and there is neither --url nor REDIS_URL",
    );
  }
  const own = origin === "started for this run" ? await start() : undefined;
  try {
    const url = own?.url ?? given ?? fromEnvironment()!;
    const tls = ca === undefined ? {} : { tls: { caCerts: [await pem(ca)] } };
    const endpoint = endpointOf(url, tls, origin);
    const connect = (options: RedisOptions) =>
      new Redis(url, { ...options, ...tls });
    return {
      connect,
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

const fromEnvironment = (): string | undefined =>
  Deno.env.get("REDIS_URL") || undefined;

async function start(): Promise<{ readonly url: string } & AsyncDisposable> {
  // Only now: users with a server of their own need none of it.
  const { startRedis } = await import("../tests/support/redis_server.ts");
  try {
    return await startRedis();
  } catch (error) {
    throw new UsageError(`${textOf(error)}, or name a server with --url`);
  }
}

function endpointOf(
  url: string,
  options: RedisOptions,
  origin: string,
): Endpoint {
  try {
    return new Endpoint(url, options);
  } catch (error) {
    throw new UsageError(
      textOf(error).replace(
        /^Cannot use (url|tls)/,
        (_, name) => `Cannot use ${name === "url" ? origin : "--ca"}`,
      ),
    );
  }
}

async function pem(file: string): Promise<string> {
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (error) {
    throw new UsageError(`Cannot use --ca: ${textOf(error)}`);
  }
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new UsageError(
    `Cannot use --ca: ${file} holds no certificate, accepted is PEM`,
  );
}

/** Asks the server what it is, and so whether it can be used at all. */
async function identify(connect: Server["connect"]): Promise<string> {
  await using redis = connect({ maxConnections: 1, retry: false });
  try {
    const [, info] = await redis.pipeline([["PING"], ["INFO", "server"]]);
    return nameIn(`${info}`);
  } catch (error) {
    const option = "pass it with --ca FILE";
    throw new UsageError(
      textOf(error).replace("pass it in tls.caCerts", option),
    );
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

export const textOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
