// How redelivered events are written.
import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { Redis, ReplyError, WebhookRecorder } from "../../mod.ts";
import { startRedis } from "../support/redis_server.ts";
import { cardinality, Counting, EVENT, KEY, ofShop, Told } from "./doubles.ts";

Deno.test("A redelivered event that was queued first keeps the later time", async () => {
  await using server = await startRedis({ durable: true });
  await using redis = new Redis(server.url, { retry: false });
  await using recorder = new WebhookRecorder(redis);
  await using elsewhere = new WebhookRecorder(redis);
  const event = { ...EVENT, deliveryId: "d" };
  await server.stop();
  await recorder.record({ ...EVENT, receivedAt: 0 }); // travels in the same ZADD
  const { status } = await recorder.record({
    ...event,
    receivedAt: 1_700_000_000_999,
  });
  assertEquals(status, "queued");
  await server.start();
  await elsewhere.record({ ...event, receivedAt: 1_700_000_100_000 });
  await recorder.flush();
  assertEquals(
    (await server.cli("ZRANGE", KEY, -1, -1, "WITHSCORES")).split("\n")[1],
    "1700000100",
  );
  await elsewhere.record({ ...event, receivedAt: 1_700_000_200_000 });
  await elsewhere.record({ ...event, receivedAt: 1_700_000_150_000 });
  assertEquals(
    (await server.cli("ZRANGE", KEY, -1, -1, "WITHSCORES")).split("\n")[1],
    "1700000200",
  );
  assertEquals(await cardinality(server), 2);
});

Deno.test("A server that does not know GT gets ZADD without it, and is asked once", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  sender.answer = ([, , option]) =>
    option === "GT" ? new ReplyError("ERR syntax error") : undefined;
  const told = new Told();
  await using recorder = new WebhookRecorder(sender, {
    onError: told.onError,
  });
  const outcomes = await Promise.all([
    recorder.record({ ...EVENT, deliveryId: "a" }),
    recorder.record({ ...ofShop(8), deliveryId: "b" }),
    recorder.record(ofShop(9)),
  ]);
  assertEquals(outcomes.map(({ status }) => status), [
    "recorded",
    "recorded",
    "recorded",
  ]);
  await recorder.record({ ...EVENT, deliveryId: "c" });
  await recorder.record({ ...EVENT, deliveryId: "a" });
  assertEquals(await cardinality(server), 2);
  const withGt = sender.sent.filter((chunk) =>
    chunk.some((command) => command[2] === "GT")
  );
  assertEquals(withGt.length, 1);
  assertEquals(told.lines, []);
});

Deno.test("A server that finds a syntax error without GT, too, has refused the event", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  sender.answer = ([name]) =>
    name === "ZADD" && sender.countOf("ZADD") <= 2
      ? new ReplyError("ERR syntax error")
      : undefined;
  await using recorder = new WebhookRecorder(sender);
  const { status } = await recorder.record({ ...EVENT, deliveryId: "d" });
  assertEquals(status, "queued");
  await recorder.flush();
  assertEquals(await cardinality(server), 1);
});

Deno.test("Only events with a delivery id need GT", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  await using recorder = new WebhookRecorder(sender);
  await recorder.record(EVENT);
  await recorder.record({ ...EVENT, deliveryId: "d" });
  await Promise.all([
    recorder.record(EVENT),
    recorder.record({ ...EVENT, deliveryId: "e" }),
  ]);
  assertEquals(
    sender.sent.flat().map((command) => command[2] === "GT"),
    [false, true, false, true],
  );
});
