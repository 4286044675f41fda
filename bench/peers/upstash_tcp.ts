// What @upstash/ratelimit needs of a client, by ioredis over TCP.

import { runnable } from "../limiters/upstash_scripts.ts";

/** The part of ioredis that is used, so that checking needs no install. */
interface Scripting {
  evalsha(hash: string, keys: number, ...args: string[]): Promise<unknown>;
  eval(script: string, keys: number, ...args: string[]): Promise<unknown>;
  disconnect(): void;
}

/** The scripting half of the client of @upstash/redis: all that a limiter calls. */
export interface ScriptClient {
  evalsha(hash: string, keys: string[], args: unknown[]): Promise<unknown>;
  eval(script: string, keys: string[], args: unknown[]): Promise<unknown>;
}

const library = "ioredis";
const { Redis } = await import(library) as {
  Redis: new (url: string, options: unknown) => Scripting;
};

/** Connects with auto-pipelining. */
export function overTcp(
  url: string,
): { client: ScriptClient; close: () => void } {
  const redis = new Redis(url, { enableAutoPipelining: true });
  /** The hashes of the scripts that the server has, by those that the library asks for. */
  const hashes = new Map<string, string>();
  const client: ScriptClient = {
    evalsha(hash, keys, args) {
      const known = hashes.get(hash);
      if (known === undefined) return Promise.reject(new Error("NOSCRIPT"));
      return redis.evalsha(known, keys.length, ...keys, ...args.map(String));
    },
    async eval(script, keys, args) {
      hashes.set(await sha1(script), await sha1(runnable(script)));
      return await redis.eval(
        runnable(script),
        keys.length,
        ...keys,
        ...args.map(String),
      );
    },
  };
  return { client, close: () => redis.disconnect() };
}

async function sha1(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-1", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}
