// What a client of Sentinels shows: the primary, its node, statistics, text, channel and verdict.

import "../support/strict.ts";
import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import "../../client/diagnostics.ts";
import type { MessageOf } from "../../client/diagnostics.ts";
import { DepartedError, Redis, type Verdict } from "../../mod.ts";
import { startRedis } from "../support/redis_server.ts";
import { until } from "../support/wait.ts";
import { SentinelDouble } from "./servers/sentinel_double.ts";

const CHANNEL = "@unzombie/redis:sentinel:primary";
const at = ({ port }: { readonly port: number }): string => `127.0.0.1:${port}`;

Deno.test("A client of Sentinels shows the primary that they name, and what has replaced it", async () => {
  await using one = await startRedis();
  await using two = await startRedis();
  await using sentinel = new SentinelDouble({ primary: at(one), epoch: 1 });
  const heard: MessageOf<"sentinel:primary">[] = [];
  const listener = (message: unknown) =>
    void heard.push(message as MessageOf<"sentinel:primary">);
  subscribe(CHANNEL, listener);
  try {
    const verdicts: Verdict[] = [];
    await using redis = new Redis(
      `redis://${sentinel.address}?sentinel=mymaster`,
      { postMortem: true, onVerdict: (verdict) => verdicts.push(verdict) },
    );
    assertEquals(
      Deno.inspect(redis).split("\n")[0],
      `Redis primary mymaster, to be named by ${sentinel.address}, open`,
    );
    assertThrows(() => redis.nodes(), TypeError, "Cannot list the nodes of");
    assertEquals(redis.originOf("key"), redis.origin);

    await redis.send(["SET", "key", "value"]);
    const [node, ...more] = redis.nodes();
    assertEquals(more, []);
    assertEquals(
      [node!.origin.port, node!.hashSlots, redis.originOf("key").port],
      [one.port, 16384, one.port],
    );
    assertEquals(await node!.send(["GET", "key"]), "value");
    assertEquals(Object.keys(redis.stats().servers), [at(one)]);
    assertEquals(redis.stats().topology, undefined);
    assertEquals(
      Deno.inspect(redis).split("\n")[0],
      `Redis primary mymaster at ${
        at(one)
      }, named by ${sentinel.address}, open`,
    );

    const { dialed } = redis.stats();
    sentinel.says.primary = at(two);
    sentinel.says.epoch = 2;
    await one.stop();
    await redis.send(["SET", "key", "value"]);
    assertEquals(
      heard.map(({ name, from, to, namedBy, attributes }) => ({
        ...{ name, from, to, namedBy },
        port: attributes["server.port"],
      })),
      [undefined, at(one)].map((from, i) => ({
        name: "mymaster",
        from,
        to: at([one, two][i]!),
        namedBy: sentinel.address,
        port: [one, two][i]!.port,
      })),
    );
    await until(() => verdicts.length > 0);
    assertEquals(
      verdicts.map(({ cause, confidence, report }) => [
        cause,
        confidence,
        report.endpoint,
      ]),
      [["failover", "likely", at(one)]],
    );
    assertStringIncludes(
      verdicts[0]!.text,
      `a failover: Sentinel names ${at(two)} as the primary of mymaster`,
    );
    const stats = redis.stats();
    assertEquals(stats.lastVerdict, verdicts[0]);
    assertEquals(stats.lastClose!.endpoint, at(one));
    assertEquals([stats.dialed, Object.keys(stats.servers)], [
      dialed + 1,
      [at(two)],
    ]);
    assertMatch(
      Deno.inspect(redis),
      new RegExp(`^Redis primary mymaster at ${at(two)}, named by `),
    );
    await assertRejects(
      () => node!.send(["PING"]),
      DepartedError,
      `${at(one)} has left `,
    );
  } finally {
    unsubscribe(CHANNEL, listener);
  }
});
