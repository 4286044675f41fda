// Which flushes batches that are read back travel in.
import "../support/strict.ts";
import { assert, assertEquals, assertLess } from "@std/assert";
import { flushesOf } from "../../recorder/flush_reads.ts";
import { Redis, WebhookRecorder } from "../../mod.ts";
import { startRedis } from "../support/redis_server.ts";
import { Counting, ofShop } from "./doubles.ts";

const batch = (key: string, saysIsNew = false) => ({ key, saysIsNew });

Deno.test("Batches travel in flushes of about the same size, in order", () => {
  for (const length of [1, 28, 41, 42, 64, 100, 1000]) {
    const batches = Array.from({ length }, (_, i) => batch(`${i}`));
    const flushes = flushesOf(batches);
    assertEquals(flushes.flat(), batches);
    assertEquals(flushes.length, Math.max(1, Math.round(length / 28)));
    for (const flush of flushes) assertLess(flush.length, 43);
  }
});

Deno.test("Batches of one key travel in one flush", () => {
  const deliveries = Array.from(
    { length: 200 },
    (_, i) => batch(`${i % 3 === 0 ? "a" : i % 9}`, true),
  );
  const flushes = flushesOf([batch("a"), batch("b"), ...deliveries]);
  assertEquals(flushes.flat().length, 202);
  assert(flushes.length > 1);
  for (const key of new Set(flushes.flat().map(({ key }) => key))) {
    const found = flushes.filter((flush) => flush.some((b) => b.key === key));
    assertEquals(found.length, 1);
  }
});

Deno.test("The events of a turn that are read back are each counted once, in several flushes", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  await using recorder = new WebhookRecorder(sender, { windowSeconds: 60 });
  await recorder.record(ofShop(1000)); // loads what reads
  const outcomes = await Promise.all(
    Array.from({ length: 300 }, (_, i) => recorder.record(ofShop(i % 100))),
  );
  assertEquals(
    outcomes.map((outcome) =>
      outcome.status === "recorded" ? outcome.frequency : outcome
    ),
    Array.from({ length: 300 }, (_, i) => 1 + Math.floor(i / 100)),
  );
  assertEquals(sender.countOf("ZADD"), 101);
  assertEquals(sender.countOf("ZCOUNT"), 101);
});
