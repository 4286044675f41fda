// Connections that cannot be opened: what the error says, and how soon.
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertStringIncludes,
} from "@std/assert";
import {
  CheckoutTimeoutError,
  DialError,
  fateOf,
  Redis,
  ReplyError,
  RetryError,
} from "../../../mod.ts";
import { SocketError } from "../../../pool/socket/socket_error.ts";
import type { Cases } from "../env.ts";
import { errorOf, refusal, withClient } from "./helpers.ts";

export const dials: Cases = {
  "A port without a server is named as such, and tried again": async (env) => {
    const port = await env.freePort();
    const url = `redis://127.0.0.1:${port}`;
    const error = await refusal(url);
    assertEquals([error.phase, error.isRetriable], ["connect", true]);
    assertEquals(fateOf(error), "unsent");
    assertStringIncludes(
      error.message,
      env.isWorker ? "no server listens there" : "connection refused",
    );
    assertInstanceOf(error.cause, SocketError);
    if (!env.isWorker) assertEquals(error.cause.how, "refused");
    const tried = await withClient(
      url,
      {},
      (redis) => errorOf(redis.send(["PING"])),
    );
    assertInstanceOf(tried, RetryError);
    assertEquals(tried.attempts, 4);
  },

  "A host that there is not is named as such": async (env) => {
    const error = await refusal("redis://no-such-host.invalid");
    assertEquals(error.phase, "connect");
    assertStringIncludes(error.message, "no such host");
    if (env.isWorker) return;
    assertInstanceOf(error.cause, SocketError);
    assertEquals(error.cause.how, "dns");
  },

  "A peer that accepts and never answers is given up in time": async (env) => {
    const { url } = await env.make("peer", "silent");
    const startedAt = performance.now();
    const error = await refusal(url, { connectTimeoutMs: 300 });
    const ms = performance.now() - startedAt;
    assertEquals(error.phase, "handshake");
    assertGreaterOrEqual(ms, 290);
    assertLess(ms, 2000);
  },

  "A peer that closes in place of an answer is told from one that is silent":
    async (env) => {
      const { url } = await env.make("peer", "slams");
      const error = await refusal(url);
      assertEquals([error.phase, error.isRetriable], ["handshake", true]);
      assertFalse(error.message.includes("within"), error.message);
    },

  "A dial that fails is shared by all that wait for it": async (env) => {
    const url = `redis://127.0.0.1:${await env.freePort()}`;
    const options = { retry: false } as const;
    await withClient(url, options, async (redis) => {
      const errors = await Promise.all(
        Array.from({ length: 5 }, () => errorOf(redis.send(["PING"]))),
      );
      for (const error of errors) assertInstanceOf(error, DialError);
      const { dialed, dialFailures } = redis.stats();
      assertEquals([dialed, dialFailures], [0, 1]);
    });
  },

  "A password that is wrong is refused once, and no password is ever shown":
    async (env) => {
      const password = "s3cr3t:p@ss/wörd";
      const { port, url } = await env.make("sharedServer", { password });
      const wrong = "wr0ng-p@ss";
      const error = await refusal(`redis://127.0.0.1:${port}`, {
        password: wrong,
      });
      assertEquals([error.phase, error.isRetriable], ["handshake", false]);
      assertInstanceOf(error.cause, ReplyError);
      assertFalse(textsOf(error).includes(wrong), textsOf(error));
      await withClient(url, {}, async (redis) => {
        assertEquals(await redis.send(["ACL", "WHOAMI"]), "default");
        for (const secret of [password, encodeURIComponent(password)]) {
          assertFalse(textsOf(redis).includes(secret), textsOf(redis));
        }
      });
    },

  "What a client is printed as is the same everywhere": async (env) => {
    const { url, port } = await env.make("sharedServer");
    await withClient(url, {}, async (redis) => {
      await redis.send(["PING"]);
      const text = redis[
        Symbol.for("nodejs.util.inspect.custom") as keyof Redis
      ] as unknown as () => string;
      assertStringIncludes(text.call(redis), `127.0.0.1:${port}`);
      if (env.isWorker) return;
      assertStringIncludes(inspected(redis), text.call(redis));
    });
  },

  "A server is reached by its IPv6 address and by its name": async (env) => {
    const config = { bind: "::1 127.0.0.1" };
    const { port } = await env.make("sharedServer", { config });
    for (const host of ["[::1]", "localhost", "127.0.0.1"]) {
      await withClient(`redis://${host}:${port}/3`, {}, async (redis) => {
        const info = String(await redis.send(["CLIENT", "INFO"]));
        assertStringIncludes(info, " db=3 ");
      });
    }
  },

  "A server is reached by its Unix socket, where there are any": async (
    env,
  ) => {
    const path = `/tmp/${crypto.randomUUID()}.sock`;
    const config = { unixsocket: path };
    await env.make("server", { config });
    if (env.isWorker) {
      const error = await refusal(`unix://${path}`);
      assertFalse(error.isRetriable);
      return assertStringIncludes(error.message, "cannot use a Unix socket");
    }
    await withClient(`unix://${path}`, {}, async (redis) => {
      const value = "x".repeat(1_000_000);
      await redis.send(["SET", "key", value]);
      assertEquals((await redis.send(["GET", "key"]))?.length, value.length);
      assertStringIncludes(
        String(await redis.send(["CLIENT", "INFO"])),
        path,
      );
    });
    const error = await refusal(`unix://${path}.none`);
    assertEquals([error.phase, error.isRetriable], ["connect", true]);
    assertStringIncludes(error.message, "there is no such socket");
  },

  "A caller that waits for a connection too long is told so": async (env) => {
    const { url } = await env.make("sharedServer");
    const options = { maxConnections: 1, checkoutTimeoutMs: 100, retry: false };
    await withClient(url, options as { retry: false }, async (redis) => {
      const lease = await redis.lease();
      const error = await errorOf(redis.lease());
      assertInstanceOf(error, CheckoutTimeoutError);
      lease.release();
      assertEquals(await redis.send(["PING"]), "PONG");
    });
  },

  "Options and URLs that cannot be used are refused at once": () => {
    for (
      const make of [
        () => new Redis("http://127.0.0.1"),
        () => new Redis("redis://127.0.0.1", { maxConnections: 0 }),
        () => new Redis("rediss://127.0.0.1", { tls: { caCerts: ["no"] } }),
      ]
    ) {
      let error: unknown;
      try {
        make();
      } catch (thrown) {
        error = thrown;
      }
      assert(
        error instanceof TypeError || error instanceof RangeError,
        `${error}`,
      );
    }
    return Promise.resolve();
  },
};

/** All that a person may see of a value. */
function textsOf(value: object): string {
  const { stack, cause } = value as Error;
  return [
    String(value),
    stack,
    JSON.stringify(value),
    inspected(value),
    cause === undefined ? "" : textsOf(cause as object),
  ].join("\n");
}

/** As `console.log` prints it, where that can be asked for. */
function inspected(value: unknown): string {
  const { Deno, Bun, process } = globalThis as unknown as
    & Record<
      "Deno" | "Bun",
      { inspect(value: unknown, options?: object): string } | undefined
    >
    & {
      process?: {
        getBuiltinModule?(name: string): {
          inspect(value: unknown, options?: object): string;
        };
      };
    };
  const inspect = Deno?.inspect ?? Bun?.inspect ??
    process?.getBuiltinModule?.("node:util")?.inspect;
  return inspect?.(value, { depth: 9, colors: false }) ?? "";
}
