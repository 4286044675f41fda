// That nothing runs twice or is lost while connections are killed all the time.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLessOrEqual,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { type Fate, fateOf, type Reply } from "../../mod.ts";
import { Fixture } from "../support/fixture.ts";
import { patient } from "../support/policies.ts";

Deno.test("In a storm of kills INCR runs once for each success, and at most once for each unknown fate", async () => {
  await using fixture = await Fixture.start();
  const redis = fixture.client({ retry: patient(), maxConnections: 4 });
  let isOver = false;
  const storm = (async () => {
    for (let i = 0; !isOver; i++) {
      if (i % 3 === 0) await fixture.proxy.killAll("rst");
      else if (i % 3 === 1) await fixture.proxy.killAll("fin");
      else {
        await fixture.server.cli(
          "CLIENT",
          "KILL",
          "TYPE",
          "normal",
          "SKIPME",
          "yes",
        );
      }
      await delay(4 + i % 9);
    }
  })();
  const replies: Reply[] = [];
  const fates: Record<Fate, number> = { unsent: 0, unknown: 0, executed: 0 };
  const work = async (worker: number) => {
    for (let i = 0; i < 200; i++) {
      try {
        const isPipeline = (i + worker) % 5 === 0;
        if (isPipeline) {
          const [reply] = await redis.pipeline([["INCR", "n"], ["GET", "n"]]);
          replies.push(reply ?? null);
        } else replies.push(await redis.send(["INCR", "n"]));
      } catch (error) {
        fates[fateOf(error)]++;
      }
      if (i % 5 === 0) await delay(1);
    }
  };
  await Promise.all(Array.from({ length: 20 }, (_, worker) => work(worker)));
  isOver = true;
  await storm;
  const counter = Number(await fixture.server.cli("GET", "n"));
  const clue = JSON.stringify({ counter, successes: replies.length, ...fates });
  assertEquals(replies.length + fates.unknown + fates.unsent, 4000, clue);
  assertGreaterOrEqual(counter, replies.length, clue);
  assertLessOrEqual(counter, replies.length + fates.unknown, clue);
  // Each success has a number of its own: no reply reached two callers.
  assertEquals(new Set(replies).size, replies.length, clue);
  assert(
    replies.every((reply) => typeof reply === "number" && reply <= counter),
    clue,
  );
  assertGreater(fixture.reports.length, 5, clue);
  const { open, idle, inFlight, waiting } = redis.stats();
  assertEquals([inFlight, waiting, idle], [0, 0, open], clue);
});

Deno.test("In a storm of kills every ZADD succeeds, and every member is there once", async () => {
  await using fixture = await Fixture.start();
  const redis = fixture.client({ retry: patient(), maxConnections: 4 });
  let isOver = false;
  let answered = 0;
  const storm = (async () => {
    for (let i = 0; !isOver; i++) {
      const before = answered;
      await fixture.proxy.killAll(i % 2 ? "rst" : "fin");
      await delay(5 + i % 7);
      // On a busy machine a handshake may take longer than that.
      while (answered === before && !isOver) await delay(1);
    }
  })();
  const work = async (worker: number) => {
    for (let i = 0; i < 100; i++) {
      const reply = await redis.send(["ZADD", "set", i, `${worker}-${i}`]);
      assert(reply === 0 || reply === 1);
      answered++;
    }
  };
  await Promise.all(Array.from({ length: 20 }, (_, worker) => work(worker)));
  isOver = true;
  await storm;
  assertEquals(await fixture.server.cli("ZCARD", "set"), "2000");
});
