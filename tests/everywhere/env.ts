// What a case stands on, on any runtime: servers and what breaks, which are in the process of the test and are called over HTTP.
import type { FaultProxy } from "../support/fault_proxy.ts";
import type { RedisServer } from "../support/redis_server.ts";
import type { Cluster, Peer, Sentinels } from "./lab.ts";

/** The runtimes. */
export type RuntimeName = "Deno" | "Node" | "Bun" | "Cloudflare Workers";

/** One case of many: it fails by throwing. */
export type Cases = Readonly<Record<string, (env: Env) => Promise<void>>>;

/** What a program that runs cases is started with. */
export interface Assignment {
  /** Where the lab is. */
  readonly lab: string;
  /** The set of cases. */
  readonly subject: string;
  /** The case; all if missing. */
  readonly name?: string;
  readonly runtime: RuntimeName;
  /** Of the runtime. */
  readonly version: string;
}

/** What a case has come to, as a line of JSON. */
export interface CaseResult {
  readonly name: string;
  readonly ms: number;
  readonly error?: string;
}

/** An object of another process: its properties when it was made, and its methods, which take and return what JSON can hold. */
export type Remote<T> =
  & {
    readonly [
      K in keyof T as T[K] extends (...args: never[]) => unknown ? never
        : K extends string ? K
        : never
    ]: T[K];
  }
  & {
    readonly [
      K in keyof T as T[K] extends (...args: never[]) => unknown
        ? K extends string ? K : never
        : never
    ]: T[K] extends (...args: infer A) => infer R
      ? (...args: A) => Promise<Awaited<R>>
      : never;
  }
  & {
    /** Reads a property as it is now. */
    now<K extends keyof T>(property: K): Promise<T[K]>;
  };

/** What can be made in a lab, and with which arguments. */
export interface Makers {
  /** The server that all cases with these options share. */
  sharedServer(options?: ServerKind): RedisServer;
  /** A server of one's own. */
  server(options?: ServerKind): RedisServer;
  proxy(server: { port: number }, options?: { tls?: boolean }): FaultProxy;
  peer(kind: string, ...args: number[]): Peer;
  cluster(): Cluster;
  sentinels(): Sentinels;
}

/** Options of a server. */
export interface ServerKind {
  readonly tls?: boolean | {
    readonly certificate?: "server" | "wrong_host" | "unknown_server";
    readonly clientCertificate?: boolean;
  };
  readonly password?: string;
  readonly durable?: boolean;
  readonly config?: Readonly<Record<string, string | number>>;
}

/** What a case stands on. */
export class Env {
  readonly runtime: RuntimeName;
  readonly version: string;
  readonly #lab: string;
  static #cases = 0;
  /** The beginning of the keys of this case. */
  readonly prefix: string;

  constructor({ lab, runtime, version }: Assignment) {
    this.#lab = lab;
    this.runtime = runtime;
    this.version = version;
    // Workers have no random numbers before the first request, and few cases.
    this.prefix = `${++Env.#cases}:${crypto.randomUUID().slice(0, 8)}:`;
  }

  /** Whether it is Bun before 1.4. */
  get isOldBun(): boolean {
    return this.runtime === "Bun" && /^1\.[0-3]\b/.test(this.version);
  }

  /** Whether it is a Worker. */
  get isWorker(): boolean {
    return this.runtime === "Cloudflare Workers";
  }

  /** Makes something in the lab. */
  async make<K extends keyof Makers>(
    kind: K,
    ...args: Parameters<Makers[K]>
  ): Promise<Remote<ReturnType<Makers[K]>>> {
    const { id, properties } = await this.#call({ kind, args }) as {
      id: number;
      properties: object;
    };
    const call = (method: string) => (...args: unknown[]) =>
      this.#call({ id, method, args });
    return new Proxy(properties, {
      get: (target, name) =>
        typeof name !== "string" || name === "then" || name === "toJSON"
          ? undefined
          : name in target
          ? target[name as keyof typeof target]
          : call(name),
    }) as Remote<ReturnType<Makers[K]>>;
  }

  /** The text of one of the tests' certificates and keys. */
  async pem(name: string): Promise<string> {
    return await this.#call({ pem: name }) as string;
  }

  /** A port on which no server listens. */
  async freePort(): Promise<number> {
    return await this.#call({ freePort: true }) as number;
  }

  async #call(body: unknown): Promise<unknown> {
    const response = await fetch(this.#lab, {
      method: "POST",
      body: JSON.stringify(body),
    });
    const result = await response.json() as
      | { value: unknown }
      | { error: string };
    if ("error" in result) throw new Error(`the lab: ${result.error}`);
    return result.value;
  }
}
