// The part of Upstash's HTTP interface that its rate limiter uses, in front of a Redis.

import { type Command, Redis, ReplyError } from "../../mod.ts";
import { runnable } from "./upstash_scripts.ts";

/**
 * Starts a server. Commands come as JSON, one or a pipeline of them, and are sent
 * to Redis as they are; all that a limiter gets back is integers.
 *
 * @see {@link https://upstash.com/docs/redis/features/restapi}
 */
export function startRest(
  redisUrl: string,
): { port: number } & AsyncDisposable {
  const redis = new Redis(redisUrl);
  /** The scripts by the hash that a client asks for. */
  const scripts = new Map<string, string>();

  const run = async ([name, ...args]: string[]): Promise<object> => {
    const verb = name!.toUpperCase();
    let command: string[] = [verb, ...args.map(String)];
    if (verb === "EVAL") {
      scripts.set(await sha1(args[0]!), runnable(args[0]!));
      command = [verb, runnable(args[0]!), ...args.slice(1).map(String)];
    } else if (verb === "EVALSHA") {
      const script = scripts.get(args[0]!);
      if (script === undefined) return { error: "NOSCRIPT No matching script" };
      const hash = await sha1(script);
      command = [verb, hash, ...args.slice(1).map(String)];
    }
    try {
      const options = { replay: "never" } as const;
      return {
        result: await redis.send(command as unknown as Command, options),
      };
    } catch (error) {
      if (error instanceof ReplyError) return { error: error.message };
      throw error;
    }
  };

  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const body = await request.json();
      if (new URL(request.url).pathname === "/pipeline") {
        return Response.json(await Promise.all(body.map(run)));
      }
      const answer = await run(body);
      const status = "error" in answer ? 400 : 200;
      return Response.json(answer, { status });
    },
  );
  return {
    port: server.addr.port,
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      await redis.close();
    },
  };
}

async function sha1(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-1", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}
