// What a user of the module does every day, once on each runtime.
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  CommandError,
  fateOf,
  PipelineError,
  Redis,
  ReplyError,
  scan,
  Script,
} from "../../../mod.ts";
import { Subscriber } from "../../../pubsub/mod.ts";
import type { Cases } from "../env.ts";
import { errorOf, until, withClient } from "./helpers.ts";

export const calls: Cases = {
  "Commands are sent one by one, in a pipeline and in a transaction": async (
    env,
  ) => {
    const { url } = await env.make("sharedServer");
    await withClient(url, {}, async (redis) => {
      const key = `${env.prefix}n`;
      assertEquals(await redis.send(["INCR", key]), 1);
      assertEquals(
        await redis.pipeline([["INCR", key], ["GET", key]]),
        [2, "2"],
      );
      assertEquals(
        await redis.transaction([["INCRBY", key, 5], ["GET", key]]),
        [7, "7"],
      );
      const big = 2n ** 62n;
      assertEquals(await redis.send(["INCRBY", `${key}:big`, big]), big);
      assertEquals(await redis.transaction([]), []);
    });
  },

  "An error reply has its command, code and fate": async (env) => {
    const { url } = await env.make("sharedServer");
    await withClient(url, {}, async (redis) => {
      const key = `${env.prefix}list`;
      await redis.send(["RPUSH", key, "x"]);
      const error = await errorOf(redis.send(["INCR", key]));
      assertInstanceOf(error, CommandError);
      assertEquals([error.command, error.code, fateOf(error)], [
        "INCR",
        "WRONGTYPE",
        "executed",
      ]);
      assertStringIncludes(`${error.stack}`, "fate: executed");
      const replies = await redis.pipeline([["INCR", key], ["LLEN", key]]);
      assertInstanceOf(replies[0], ReplyError);
      assertEquals(replies[1], 1);
      const misuse = await errorOf(redis.send(["SELECT", 1]));
      assertEquals(fateOf(misuse), "unsent");
    });
  },

  "A pipeline that is cut says what became of each command": async (env) => {
    const server = await env.make("sharedServer");
    const proxy = await env.make("proxy", server);
    await withClient(proxy.url, { retry: false }, async (redis) => {
      await redis.send(["PING"]);
      await proxy.cut(4, { scope: "open" }); // ":1\r\n"
      const key = `${env.prefix}n`;
      const error = await errorOf(
        redis.pipeline([["INCR", key], ["INCR", key], ["INCR", key]]),
      );
      assertInstanceOf(error, PipelineError);
      assertEquals(error.outcomes[0], 1);
      assert(error.outcomes[1] instanceof Error);
    });
  },

  "A connection of one's own keeps its state, and watches keys": async (
    env,
  ) => {
    const { url } = await env.make("sharedServer");
    await withClient(url, {}, async (redis) => {
      const key = `${env.prefix}n`;
      const lease = await redis.lease();
      await lease.send(["SELECT", 1]);
      await lease.send(["SET", key, "one"]);
      lease.release();
      assertEquals(await redis.send(["GET", key]), null);
      let tries = 0;
      const replies = await redis.watch([key], async (lease) => {
        const value = Number(await lease.send(["GET", key]) ?? 0);
        if (tries++ === 0) await redis.send(["SET", key, 10]);
        return [["SET", key, value + 1]];
      });
      assertEquals([replies, tries], [["OK"], 2]);
      assertEquals(await redis.send(["GET", key]), "11");
    });
  },

  "A blocking command waits, and holds up no other": async (env) => {
    const { url } = await env.make("sharedServer");
    await withClient(url, { replyTimeoutMs: 200 }, async (redis) => {
      const key = `${env.prefix}list`;
      const popped = redis.send(["BLPOP", key, 5]);
      await delay(400); // more than a reply timeout
      assertEquals(await redis.send(["PING"]), "PONG");
      await redis.send(["RPUSH", key, "x"]);
      assertEquals(await popped, [key, "x"]);
      assertEquals(await redis.send(["BLPOP", key, 0.05]), null);
    });
  },

  "Scripts are loaded once, and scans see every key": async (env) => {
    const { url } = await env.make("server");
    await withClient(url, {}, async (redis) => {
      const script = new Script("return {KEYS[1], ARGV[1]}");
      for (let i = 0; i < 2; i++) {
        assertEquals(await script.run(redis, ["k"], ["v"]), ["k", "v"]);
      }
      const keys = Array.from({ length: 300 }, (_, i) => `${env.prefix}${i}`);
      await redis.pipeline(keys.map((key) => ["SET", key, 1]));
      const found = new Set<string>();
      for await (const key of scan(redis, { match: `${env.prefix}*` })) {
        found.add(key);
      }
      assertEquals(found.size, 300);
    });
  },

  "A subscriber gets what is published, and the gap that a kill leaves": async (
    env,
  ) => {
    const server = await env.make("sharedServer");
    const proxy = await env.make("proxy", server);
    const channel = `${env.prefix}channel`;
    const subscriber = new Subscriber(proxy.url);
    const subscription = await subscriber.subscribe(channel);
    const heard: string[] = [];
    const hearing = (async () => {
      for await (const item of subscription) {
        heard.push(item.type === "message" ? item.payload : item.type);
        if (heard.at(-1) === "two") break;
      }
    })();
    await withClient(server.url, {}, async (redis) => {
      await redis.send(["PUBLISH", channel, "one"]);
      await until(() => heard.length === 1, "heard");
      await proxy.killAll("rst");
      await until(
        async () => await redis.send(["PUBLISH", channel, "two"]) === 1,
        "subscribed again",
      );
    });
    await hearing;
    await subscriber.close();
    assertEquals(heard[0], "one");
    assert(heard.includes("gap"), `${heard}`);
    assertEquals(heard.at(-1), "two");
  },

  "A cluster and a Sentinel are found by the URL": async (env) => {
    const cluster = await env.make("cluster");
    await withClient(cluster.url, {}, async (redis) => {
      const keys = Array.from({ length: 30 }, (_, i) => `${env.prefix}${i}`);
      await redis.pipeline(keys.map((key) => ["SET", key, key]));
      assertEquals(await redis.pipeline(keys.map((key) => ["GET", key])), keys);
      assertEquals(redis.nodes().length, 1);
    });
    const { port, name } = await env.make("sentinels");
    const url = `redis://127.0.0.1:${port}?sentinel=${name}`;
    await withClient(url, {}, async (redis) => {
      assertEquals(await redis.send(["SET", env.prefix, 1]), "OK");
    });
  },

  "A server that is away for a moment is waited for": async (env) => {
    const server = await env.make("sharedServer");
    const proxy = await env.make("proxy", server);
    await withClient(proxy.url, {}, async (redis) => {
      await redis.send(["PING"]);
      await proxy.refuse();
      await proxy.killAll("rst");
      await until(() => redis.stats().open === 0, "the end is noticed");
      const [reply] = await Promise.all([
        redis.send(["INCR", `${env.prefix}n`]),
        delay(150).then(() => proxy.accept()),
      ]);
      assertEquals(reply, 1);
      assert(redis.stats().retries > 0);
    });
  },

  "A post-mortem says what has killed a connection": async (env) => {
    const server = await env.make("server");
    const verdicts: string[] = [];
    await withClient(server.url, {
      postMortem: true,
      onVerdict: ({ text }) => verdicts.push(text),
    }, async (redis) => {
      await redis.send(["PING"]);
      await delay(100); // what the server says is read before it changes
      await server.cli("CLIENT", "KILL", "TYPE", "normal");
      await until(async () => {
        await redis.send(["PING"]);
        return verdicts.length > 0;
      }, "a verdict");
      assertStringIncludes(verdicts[0]!, "CLIENT KILL");
    });
  },

  "Credentials may come from a function": async (env) => {
    const password = "s3cret";
    const { port } = await env.make("sharedServer", { password });
    const redis = new Redis(`redis://127.0.0.1:${port}`, {
      credentials: async () => {
        await delay(1);
        return { password };
      },
    });
    assertEquals(await redis.send(["PING"]), "PONG");
    await redis.close();
  },
};
