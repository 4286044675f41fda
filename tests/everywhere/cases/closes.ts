// Connections that end in every way: what is noticed of it, and what it costs.
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type ClosedDuring,
  type ClosedHow,
  type CloseReport,
  ConnectionClosedError,
  DeadlineError,
  fateOf,
  Retry,
} from "../../../mod.ts";
import type { Cases, Env } from "../env.ts";
import { errorOf, until, withClient } from "./helpers.ts";

type Way = "fin" | "rst";
const WAYS: readonly Way[] = ["fin", "rst"];

/** How a connection ended, and when. Bun before 1.4 takes every reset for an end. */
function assertEnd(
  env: Env,
  report: CloseReport,
  how: ClosedHow,
  during: ClosedDuring,
): void {
  if (env.isOldBun && how === "rst" && report.how === "fin") how = "fin";
  assertEquals([report.how, report.during], [how, during]);
}

const closedBy = (way: Way): Cases => ({
  [`A ${way.toUpperCase()} is noticed while the connection is idle, and the next command costs nothing`]:
    async (env) => {
      const proxy = await env.make(
        "proxy",
        await env.make("sharedServer"),
      );
      await withClient(proxy.url, {}, async (redis, reports) => {
        assertEquals(await redis.send(["PING"]), "PONG");
        await proxy.killAll(way);
        await until(() => reports.length === 1, "noticed");
        assertEnd(env, reports[0]!, way, "idle");
        assertEquals(redis.stats().open, 0);
        assertEquals(await redis.send(["PING"]), "PONG");
        assertEquals(redis.stats().replays, 0);
      });
    },

  [`A ${way.toUpperCase()} in place of a reply leaves a command whose fate is unknown`]:
    async (env) => {
      const server = await env.make("sharedServer");
      const proxy = await env.make("proxy", server);
      const key = `${env.prefix}counter`;
      await withClient(proxy.url, {}, async (redis, reports) => {
        await redis.send(["PING"]);
        await proxy.cut(0, { by: way });
        const error = await errorOf(redis.send(["INCR", key]));
        assertInstanceOf(error, ConnectionClosedError);
        assertEquals(fateOf(error), "unknown");
        assertEnd(env, error.report, way, "awaiting-reply");
        assertEquals(reports.length, 1);
        await proxy.pass();
        // One that may run twice is sent again.
        await redis.send(["PING"]);
        await proxy.cut(0, { by: way, scope: "open" });
        assertEquals(await redis.send(["GET", key]), "1");
        assertEquals(redis.stats().replays, 1);
      });
    },

  [`A ${way.toUpperCase()} in the middle of a reply makes no value of it`]:
    async (env) => {
      const server = await env.make("sharedServer");
      const proxy = await env.make("proxy", server);
      const key = `${env.prefix}text`;
      await withClient(proxy.url, { retry: false }, async (redis) => {
        await redis.send(["SET", key, "0123456789"]);
        await proxy.split(8, { everyMs: 5000 });
        const reply = errorOf(redis.send(["GET", key], { replay: "never" }));
        // Node and Bun take a reset that comes along with bytes for an end.
        await delay(100);
        await proxy.killAll(way);
        const error = await reply;
        assertInstanceOf(error, ConnectionClosedError);
        assertEnd(env, error.report, way, "inside-reply");
        assertEquals(error.report.replyBytes, 8);
      });
    },
});

async function strayed(env: Env): Promise<void> {
  const peer = await env.make("peer", "stray", 50);
  await withClient(peer.url, {}, async (redis, reports) => {
    assertEquals(await redis.send(["PING"]), "PONG");
    await until(() => reports.length === 1, "noticed");
    assertEnd(env, reports[0]!, "protocol-error", "idle");
    assertStringIncludes(`${reports[0]!.cause}`, "Unasked bytes");
    assertEquals(redis.stats().open, 0);
  });
}

export const closes: Cases = {
  ...closedBy(WAYS[0]!),
  ...closedBy(WAYS[1]!),

  "Silence costs one reply timeout, and no more": async (env) => {
    const server = await env.make("sharedServer");
    const proxy = await env.make("proxy", server);
    const key = `${env.prefix}counter`;
    await withClient(proxy.url, { replyTimeoutMs: 300 }, async (redis) => {
      await redis.send(["PING"]);
      await proxy.silence({ scope: "open" });
      const startedAt = performance.now();
      const error = await errorOf(redis.send(["INCR", key]));
      const ms = performance.now() - startedAt;
      assertInstanceOf(error, ConnectionClosedError);
      assertEnd(env, error.report, "silence", "awaiting-reply");
      assertEquals(fateOf(error), "unknown");
      assertGreaterOrEqual(ms, 290);
      assertLess(ms, 2000);
      assertEquals(await redis.send(["INCR", key]), 1);
    });
  },

  "Silence in the middle of a reply ends it, too": async (env) => {
    const server = await env.make("sharedServer");
    const proxy = await env.make("proxy", server);
    const key = `${env.prefix}text`;
    const options = { replyTimeoutMs: 300, retry: false } as const;
    await withClient(proxy.url, options, async (redis) => {
      await redis.send(["SET", key, "x".repeat(1000)]);
      await proxy.split(100, { everyMs: 1000 });
      const error = await errorOf(
        redis.send(["GET", key], { replay: "never" }),
      );
      assertInstanceOf(error, ConnectionClosedError);
      assertEnd(env, error.report, "silence", "inside-reply");
    });
  },

  "Bytes that no command asked for end the connection": strayed,

  "A connection that CLIENT KILL ends costs a SET one replay at most": async (
    env,
  ) => {
    const server = await env.make("sharedServer");
    await withClient(server.url, {}, async (redis) => {
      for (let i = 0; i < 10; i++) {
        const id = await redis.send(["CLIENT", "ID"]);
        // Whether the close is seen before the command is written is a matter of luck.
        await server.cli("CLIENT", "KILL", "ID", Number(id));
        assertEquals(await redis.send(["SET", env.prefix, i]), "OK");
      }
      const { replays, retries, dialed } = redis.stats();
      assert(replays <= 10 && retries === 0, `${replays} ${retries}`);
      assertEquals(dialed, 11);
    });
  },

  "Commands that meet kill after kill all succeed, each with its own reply":
    async (env) => {
      const server = await env.make("sharedServer");
      const proxy = await env.make("proxy", server);
      const options = { maxConnections: 4, retry: new Retry({ retries: 20 }) };
      await withClient(proxy.url, options, async (redis) => {
        const callers = Array.from({ length: 20 }, async (_, caller) => {
          for (let i = 0; i < 20; i++) {
            const key = `${env.prefix}${caller}:${i}`;
            assertEquals(await redis.send(["SET", key, key]), "OK");
            await delay(5);
            assertEquals(await redis.send(["GET", key]), key);
          }
        });
        let isOver = false;
        const all = Promise.all(callers).finally(() => isOver = true);
        for (let i = 0; !isOver; i++) {
          await proxy.killAll(WAYS[i % 2]!);
          await delay(20);
        }
        await all;
      });
    },

  "An idle connection is closed when its time is over": async (env) => {
    const server = await env.make("sharedServer");
    const options = { idleTimeoutMs: 200 };
    await withClient(server.url, options, async (redis) => {
      await redis.send(["PING"]);
      assertEquals(redis.stats().open, 1);
      await until(() => redis.stats().open === 0, "closed");
      assertEquals(await redis.send(["PING"]), "PONG");
    });
  },

  "A call whose time is over, or that is given up, ends at once": async (
    env,
  ) => {
    const server = await env.make("sharedServer");
    const proxy = await env.make("proxy", server);
    await withClient(proxy.url, {}, async (redis) => {
      await redis.send(["PING"]);
      await proxy.silence();
      const startedAt = performance.now();
      const controller = new AbortController();
      setTimeout(() => controller.abort(new Error("given up")), 100);
      const [late, aborted] = await Promise.all([
        errorOf(redis.send(["GET", "a"], { deadlineMs: 100 })),
        errorOf(redis.send(["GET", "b"], { signal: controller.signal })),
      ]);
      assertLess(performance.now() - startedAt, 2000);
      assertInstanceOf(late, DeadlineError);
      assertEquals(aborted.message, "given up");
    });
  },

  "A closed client refuses, and leaves nothing behind": async (env) => {
    const server = await env.make("sharedServer");
    await withClient(server.url, {}, async (redis) => {
      const blocked = errorOf(redis.send(["BLPOP", `${env.prefix}none`, 0]));
      await redis.send(["PING"]);
      await redis.close({ drainMs: 50 });
      const ended = await blocked;
      assertInstanceOf(ended, ConnectionClosedError);
      assertEquals([ended.report.how, fateOf(ended)], ["requested", "unknown"]);
      const error = await errorOf(redis.send(["PING"]));
      assertEquals([error.name, fateOf(error)], ["ClosedError", "unsent"]);
      assertEquals(redis.stats().open, 0);
    });
  },
};
