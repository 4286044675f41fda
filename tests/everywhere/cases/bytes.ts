// Many bytes, in few and in many pieces: all arrive, in order, and the progress of a slow peer is seen.
import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { asRecord } from "../../../client/commands/conversions.ts";
import { ReplyError } from "../../../mod.ts";
import type { Cases } from "../env.ts";
import { withClient } from "./helpers.ts";

const MB = 1_000_000;

/** Bytes that repeat at no distance that a buffer has. */
export function patternOf(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const PERIOD = 99_991;
  for (let i = 0; i < Math.min(PERIOD, length); i++) {
    bytes[i] = i * 31 + (i >> 8) * 17;
  }
  for (let made = PERIOD; made < length; made *= 2) {
    bytes.copyWithin(made, 0, made);
  }
  return bytes;
}

/** Whether all bytes are the same: `assertEquals` takes seconds. */
export function isSame(a: Uint8Array | null, b: Uint8Array): boolean {
  if (a?.length !== b.length) return false;
  for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export const bytes: Cases = {
  "A value of 32 MB is sent and read back": async (env) => {
    const { url } = await env.make("sharedServer");
    await withClient(url, {}, async (redis) => {
      const value = patternOf(32 * MB);
      assertEquals(await redis.send(["SET", env.prefix, value]), "OK");
      const back = await redis.send(["GET", env.prefix], { binary: true });
      assert(isSame(back, value));
      await redis.send(["DEL", env.prefix]);
    });
  },

  "Many large values travel in both directions at once": async (env) => {
    const { url } = await env.make("sharedServer");
    await withClient(url, { maxConnections: 2 }, async (redis) => {
      const value = patternOf(700_000);
      const keys = Array.from({ length: 12 }, (_, i) => `${env.prefix}${i}`);
      await Promise.all(keys.map(async (key) => {
        await redis.send(["SET", key, value]);
        const backs = await Promise.all(
          [1, 2, 3].map(() => redis.send(["GET", key], { binary: true })),
        );
        assert(backs.every((back) => isSame(back, value)));
      }));
      await redis.send(["DEL", ...keys]);
    });
  },

  "The progress of a slow upload is seen": async (env) => {
    const { port } = await env.make("sharedServer");
    const slow = await env.make("peer", "slow", port, 16);
    const options = { replyTimeoutMs: 700, retry: false } as const;
    await withClient(slow.url, options, async (redis) => {
      await redis.send(["PING"]);
      const startedAt = performance.now();
      const value = new Uint8Array(24 * MB);
      assertEquals(await redis.send(["SET", env.prefix, value]), "OK");
      assertGreater(performance.now() - startedAt, 1000);
      await redis.send(["DEL", env.prefix]);
    });
  },

  "Replies that come byte by byte are put together": async (env) => {
    const server = await env.make("sharedServer");
    const proxy = await env.make("proxy", server);
    await proxy.split(1);
    await withClient(proxy.url, {}, async (redis) => {
      const hash = `${env.prefix}hash`;
      const replies = await redis.pipeline([
        ["HSET", hash, "a", "ä€😀", "b", ""],
        ["HGETALL", hash],
        ["INCR", hash],
        ["GET", `${env.prefix}none`],
        ["EXPIRE", hash, 60],
      ]);
      assertEquals(replies[0], 2);
      assertEquals(asRecord(replies[1] as string[]), { a: "ä€😀", b: "" });
      assertInstanceOf(replies[2], ReplyError);
      assertEquals(replies.slice(3), [null, 1]);
    });
  },

  "Of a thousand callers at once each gets its own reply": async (env) => {
    const server = await env.make("sharedServer");
    const proxy = await env.make("proxy", server);
    await proxy.split(997);
    await withClient(proxy.url, {}, async (redis) => {
      const keys = Array.from({ length: 1000 }, (_, i) => `${env.prefix}${i}`);
      await Promise.all(keys.map((key) => redis.send(["SET", key, key])));
      const replies = await Promise.all(
        keys.map((key) => redis.send(["GET", key])),
      );
      assertEquals(replies, keys);
      await redis.send(["DEL", ...keys]);
    });
  },

  "A burst in one turn of the event loop goes out whole": async (env) => {
    const { url } = await env.make("sharedServer");
    await withClient(url, { maxConnections: 1 }, async (redis) => {
      const key = `${env.prefix}counter`;
      const replies = await Promise.all(
        Array.from({ length: 2000 }, () => redis.send(["INCR", key])),
      );
      assertEquals(replies, Array.from({ length: 2000 }, (_, i) => i + 1));
    });
  },

  "Bytes that wait for a busy process are all read": async (env) => {
    const { url } = await env.make("sharedServer");
    await withClient(url, {}, async (redis) => {
      const value = patternOf(4 * MB);
      await redis.send(["SET", env.prefix, value]);
      const reply = redis.send(["GET", env.prefix], { binary: true });
      await delay(0);
      const until = performance.now() + 100;
      // Clocks of Workers stand still meanwhile.
      for (let i = 0; i < 1e7 && performance.now() < until; i++);
      assert(isSame(await reply, value));
      await redis.send(["DEL", env.prefix]);
    });
  },
};
