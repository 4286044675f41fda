// Where the servers of cases are, and what breaks: cases on other runtimes call it over HTTP.
import { certificate } from "../support/certificate.ts";
import { FakeServer } from "../support/fake_server.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { freePort } from "../support/free_port.ts";
import {
  type RedisServer,
  type RedisServerOptions,
  startRedis,
} from "../support/redis_server.ts";
import { CLOSE, helloOf, ScriptedServer } from "../support/scripted_server.ts";
import { until } from "../support/wait.ts";
import type { Makers, ServerKind } from "./env.ts";

/** A peer that is no Redis, or a strange one. */
export interface Peer {
  readonly url: string;
  readonly port: number;
}

/** A cluster of one server. */
export interface Cluster {
  readonly url: string;
}

/** A Sentinel, and the server that it names. */
export interface Sentinels {
  readonly port: number;
  readonly name: string;
}

const HELLO = helloOf({ server: "redis", version: "7.0.0", role: "master" });
const CHUNK = 256 * 1024;

/** Peers by their names. */
const PEERS: Readonly<
  Record<string, (...args: number[]) => FakeServer>
> = {
  /** Accepts, and never says a word. */
  silent: () => new FakeServer(() => {}),
  /** Answers a PING, and says one thing more a while later. */
  stray: (afterMs) => {
    let connection: Deno.Conn | undefined;
    return new FakeServer(async (conn) => {
      connection = conn;
      const chunk = new Uint8Array(CHUNK);
      const write = (text: string) =>
        conn.write(new TextEncoder().encode(text));
      for (let count; (count = await conn.read(chunk)) !== null;) {
        const text = new TextDecoder().decode(chunk.subarray(0, count));
        for (const [, word] of text.matchAll(/\*\d+\r\n\$\d+\r\n(\w+)/g)) {
          if (word === "HELLO") await write(HELLO);
          else if (word === "PING") await write("+PONG\r\n");
          else await write("+OK\r\n");
          if (word !== "PING") continue;
          await new Promise((resolve) => setTimeout(resolve, afterMs));
          if (connection === conn) await write("+STRAY\r\n");
        }
      }
    });
  },
  /** Closes in place of an answer to HELLO. */
  slams: () => new ScriptedServer(() => CLOSE),
  /** Answers TLS in plain text if it is called `redis.test`, and closes if not. */
  named: () =>
    new FakeServer(async (connection) => {
      const hello = new Uint8Array(4096);
      const count = await connection.read(hello) ?? 0;
      const text = new TextDecoder().decode(hello.subarray(0, count));
      if (text.includes("redis.test")) {
        await connection.write(new TextEncoder().encode("220 mail.test\r\n"));
      }
      connection.close();
    }),
  /** Takes so many megabytes a second, and hands them on to a server. */
  slow: (port, megabytesPerSecond) =>
    new FakeServer(async (client) => {
      using target = await Deno.connect({ port: port! });
      target.readable.pipeTo(client.writable).catch(() => {});
      const chunk = new Uint8Array(CHUNK);
      for (let count; (count = await client.read(chunk)) !== null;) {
        for (let at = 0; at < count;) {
          at += await target.write(chunk.subarray(at, count));
        }
        const ms = count / 1000 / megabytesPerSecond!;
        await new Promise((resolve) => setTimeout(resolve, ms));
      }
    }),
};

type Request =
  | { readonly kind: keyof Makers; readonly args: unknown[] }
  | {
    readonly id: number;
    readonly method: string;
    readonly args: unknown[];
  }
  | { readonly pem: string }
  | { readonly freePort: true };

/** Serves what cases stand on, until it is disposed of. */
export class Lab implements AsyncDisposable {
  readonly url: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #things: object[] = [];
  readonly #shared = new Map<string, Promise<RedisServer>>();
  readonly #resources = new AsyncDisposableStack();

  constructor() {
    this.#server = Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen: () => {},
    }, async (request) => {
      try {
        const value = await this.#answer(await request.json());
        return Response.json({ value: value ?? null });
      } catch (error) {
        return Response.json({ error: String(error) });
      }
    });
    this.url = `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async #answer(request: Request): Promise<unknown> {
    if ("pem" in request) return certificate(request.pem);
    if ("freePort" in request) return freePort();
    if ("kind" in request) {
      const make = this.#makers[request.kind] as (
        ...args: unknown[]
      ) => Promise<object>;
      const thing = await make(...request.args);
      const id = this.#things.push(thing) - 1;
      return { id, properties: propertiesOf(thing) };
    }
    const { id, method, args } = request;
    const thing = this.#things[id] as Record<string, unknown>;
    if (method === "now") return thing[args[0] as string];
    return await (thing[method] as (...args: unknown[]) => unknown)(...args);
  }

  readonly #makers = {
    sharedServer: (options: ServerKind = {}) => {
      const key = JSON.stringify(options);
      let server = this.#shared.get(key);
      if (server === undefined) {
        this.#shared.set(key, server = this.#start(options));
      }
      return server;
    },
    server: (options: ServerKind = {}) => this.#start(options),
    proxy: async ({ port }: { port: number }, { tls = false } = {}) =>
      this.#resources.use(
        await startProxy({ target: { hostname: "127.0.0.1", port }, tls }),
      ),
    peer: (kind: string, ...args: number[]): Peer => {
      const { port } = this.#resources.use(PEERS[kind]!(...args));
      return { port, url: `redis://127.0.0.1:${port}` };
    },
    cluster: async () => {
      const server = await this.#start({
        config: { "cluster-enabled": "yes" },
      });
      await server.cli("CLUSTER", "ADDSLOTSRANGE", 0, 16383);
      await until(
        async () =>
          (await server.cli("CLUSTER", "INFO")).includes("cluster_state:ok"),
        "the cluster is up",
      );
      return { url: `${server.url}?cluster=true` };
    },
    sentinels: async () => {
      const server = await this.#start({});
      const sentinel = await this.#start({ sentinel: true });
      const name = "primary";
      await sentinel.cli(
        "SENTINEL",
        "MONITOR",
        name,
        "127.0.0.1",
        server.port,
        1,
      );
      return { port: sentinel.port, name };
    },
  };

  async #start(options: RedisServerOptions | ServerKind): Promise<RedisServer> {
    return this.#resources.use(await startRedis(options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
    await this.#server.shutdown();
  }
}

/** What JSON can hold of an object's properties, getters included; none that throws. */
function propertiesOf(thing: object): Record<string, unknown> {
  const names = new Set<string>();
  for (
    let at = thing;
    at !== null && at !== Object.prototype;
    at = Object.getPrototypeOf(at)
  ) Object.getOwnPropertyNames(at).forEach((name) => names.add(name));
  const properties: Record<string, unknown> = {};
  for (const name of names) {
    try {
      const value = (thing as Record<string, unknown>)[name];
      if (typeof value !== "function") properties[name] = value;
    } catch {
      // Such as the TLS port of a server that has none.
    }
  }
  return properties;
}
