// Several servers: what happens to one of them holds up no event of another.
import "../support/strict.ts";
import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import {
  PipelineError,
  type RecordOutcome,
  ReplyError,
  WebhookRecorder,
} from "../../mod.ts";
import { until } from "../support/wait.ts";
import { keyOfShop, NOWHERE, ofShop, Told } from "./doubles.ts";
import { Fleet, type Mood } from "./fleet.ts";

const statusOf = ({ status }: RecordOutcome) => status;

Deno.test("A server that does not answer makes no event of another server wait", async () => {
  const fleet = new Fleet(3);
  const recorder = new WebhookRecorder(fleet, { deadlineMs: 10_000 });
  fleet.primaries[1]!.become("silent");
  const outcomes = [0, 1, 2, 3, 4, 5].map((shopNo) =>
    recorder.record(ofShop(shopNo))
  );
  const answered: number[] = [];
  outcomes.forEach((outcome, i) => outcome.then(() => answered.push(i)));
  await delay(0);
  assertEquals(answered.sort(), [0, 2, 3, 5]);
  // However many of its events are on their way.
  for (let i = 0; i < 60_000; i++) void recorder.record(ofShop(1));
  assertEquals(statusOf(await recorder.record(ofShop(2))), "recorded");
  fleet.primaries[1]!.become("well");
  await recorder.flush();
  await recorder.close();
});

for (const mood of ["gone", "down"] as Mood[]) {
  Deno.test(`While a server is ${mood}, its events are queued without an attempt, and those of others recorded`, async () => {
    const fleet = new Fleet(3);
    const recorder = new WebhookRecorder(fleet);
    const [, sick] = fleet.primaries;
    sick!.become(mood);
    assertEquals(statusOf(await recorder.record(ofShop(1))), "queued");
    const { calls } = sick!;
    for (let i = 0; i < 10; i++) {
      const [queued, recorded] = await Promise.all([
        recorder.record(ofShop(1)),
        recorder.record(ofShop(2)),
      ]);
      assertEquals([queued.status, recorded.status], ["queued", "recorded"]);
    }
    assertEquals(sick!.calls, calls);
    assertEquals(recorder.pending, 11);
    assertMatch(recorder.stats().reason!, /^Redis .* for 0\.\d s: /);
    sick!.become("well");
    await recorder.flush();
    assertEquals(sick!.members(keyOfShop(1)).size, 11);
    assertEquals(recorder.stats().reason, undefined);
    await recorder.close();
  });
}

Deno.test("Of several outages each ends by itself, and all are named while there are several", async () => {
  const fleet = new Fleet(5);
  const recorder = new WebhookRecorder(fleet);
  for (const server of fleet.primaries.slice(0, 4)) server.become("gone");
  for (let shopNo = 3; shopNo >= 0; shopNo--) {
    await recorder.record(ofShop(shopNo));
    await delay(5);
  }
  const { reason, awaySince } = recorder.stats();
  assertMatch(
    reason!,
    /^Redis has been away for 0\.\d s: gone \(4 servers take no events: s3:1, s2:1, s1:1 and 1 more\)$/,
  );
  fleet.primaries[3]!.become("well"); // the one that was first
  await until(() => recorder.pending === 3);
  assert(recorder.stats().awaySince! > awaySince!);
  assertMatch(
    recorder.stats().reason!,
    /\(3 servers take no events: s2:1, s1:1, s0:1\)$/,
  );
  for (const server of fleet.primaries) server.become("well");
  await recorder.flush();
  assertEquals(recorder.stats().awaySince, undefined);
  await recorder.close();
});

Deno.test("Attempts at one server become rarer while it is away, and not those at another", async () => {
  const fleet = new Fleet(2);
  const recorder = new WebhookRecorder(fleet);
  fleet.primaries[0]!.become("gone");
  await recorder.record(ofShop(0));
  await delay(1200);
  const { calls } = fleet.primaries[0]!;
  assertLess(calls, 6);
  fleet.primaries[1]!.become("gone");
  await recorder.record(ofShop(1));
  fleet.primaries[1]!.become("well");
  await until(() => recorder.pending === 1, "its own backoff begins", 300);
  await recorder.close({ drainMs: 0 });
});

Deno.test("Of a chunk that went through in part the rest alone is queued, and what is refused dropped", async () => {
  const answers: (number | Error)[][] = [];
  const sent: string[][] = [];
  const lost = new Error("lost");
  const recorder = new WebhookRecorder({
    ...NOWHERE,
    send: () => Promise.reject(lost),
    pipeline: (commands) => {
      sent.push(commands.map(([, key]) => `${key}`));
      return Promise.reject(new PipelineError(answers.shift()!, lost));
    },
  });
  const keys = (...shops: number[]) => shops.map(keyOfShop);
  answers.push([1, lost, new ReplyError("WRONGTYPE no"), lost, 1]);
  answers.push([lost, 1]);
  const outcomes = await Promise.all(
    [1, 2, 3, 4, 5].map((shopNo) => recorder.record(ofShop(shopNo))),
  );
  assertEquals(outcomes.map(statusOf), [
    "recorded",
    "queued",
    "dropped",
    "queued",
    "recorded",
  ]);
  await until(() => recorder.pending === 1);
  assertEquals(sent, [keys(1, 2, 3, 4, 5), keys(2, 4)]);
  const { recorded, queued, sent: later, dropped } = recorder.stats();
  assertEquals([recorded, queued, later, dropped], [3, 2, 1, 1]);
  await recorder.close({ drainMs: 0 });
});

Deno.test("A failover sends what is queued at once, at the server that has taken over and at all others", async () => {
  const fleet = new Fleet(3);
  const told = new Told();
  const recorder = new WebhookRecorder(fleet, { onError: told.onError });
  for (const server of fleet.primaries) server.become("down");
  for (const shopNo of [0, 1, 2]) await recorder.record(ofShop(shopNo));
  await delay(1600); // the waits between attempts are a second now
  fleet.primaries[0]!.become("gone");
  fleet.primaries[1]!.become("well");
  fleet.primaries[2]!.become("well");
  const startedAt = performance.now();
  fleet.promote(0);
  await until(() => recorder.pending === 0, "drained", 300);
  assertLess(performance.now() - startedAt, 100);
  for (const shopNo of [0, 1, 2]) {
    assertEquals(fleet.primaries[shopNo]!.members(keyOfShop(shopNo)).size, 1);
  }
  assertEquals(recorder.stats().reason, undefined); // of the server that has left, too
  assertEquals(told.lines, ["queued 0", "queued 1", "queued 2"]);
  await recorder.close();
});

Deno.test("After a failover that finds a server not ready yet, attempts come soon again", async () => {
  const fleet = new Fleet(2);
  const recorder = new WebhookRecorder(fleet);
  for (const server of fleet.primaries) server.become("down");
  for (const shopNo of [0, 1]) await recorder.record(ofShop(shopNo));
  await delay(1600); // the waits between attempts are a second now
  fleet.promote(0);
  await until(() => recorder.pending === 1);
  await delay(20);
  fleet.primaries[1]!.become("well");
  await until(() => recorder.pending === 0, "drained", 300);
  await recorder.close();
});

Deno.test("Events that have moved from a server that is away to another one are that one's, also when it is away", async () => {
  const fleet = new Fleet(2);
  const recorder = new WebhookRecorder(fleet);
  for (const server of fleet.primaries) server.become("gone");
  await recorder.record(ofShop(8));
  fleet.moved.set(8, 1);
  await delay(300); // an attempt has failed
  fleet.primaries[0]!.become("well");
  for (let i = 0; i < 3; i++) {
    assertEquals(statusOf(await recorder.record(ofShop(0))), "recorded");
    await delay(100);
  }
  assertEquals(recorder.pending, 1);
  fleet.primaries[1]!.become("well");
  await recorder.flush();
  await recorder.close();
});

Deno.test("Events whose key goes to another server without a failover go there, and the outage of the old one is forgotten", async () => {
  const fleet = new Fleet(2);
  const recorder = new WebhookRecorder(fleet);
  fleet.primaries[0]!.become("gone");
  assertEquals(statusOf(await recorder.record(ofShop(0))), "queued");
  const to = fleet.promote(0, { tells: false });
  assertEquals(statusOf(await recorder.record(ofShop(0))), "recorded");
  assertEquals(recorder.stats().reason, undefined);
  await recorder.flush();
  assertEquals(to.members(keyOfShop(0)).size, 2);
  await recorder.close();
});

Deno.test("An event is not lost because its hash slot is on the move", async () => {
  const fleet = new Fleet(2);
  await using recorder = new WebhookRecorder(fleet);
  fleet.primaries[0]!.become("moving");
  assertEquals(statusOf(await recorder.record(ofShop(0))), "queued");
  await delay(300);
  assertEquals(recorder.pending, 1);
  fleet.primaries[0]!.become("well");
  await recorder.flush();
  assertEquals(recorder.stats().sent, 1);
});

Deno.test("The outbox is one for all servers, and a recorder that gives up drops what is anywhere", async () => {
  const fleet = new Fleet(3);
  const told = new Told();
  const recorder = new WebhookRecorder(fleet, {
    outboxCapacity: 3,
    onError: told.onError,
    retentionSeconds: 60,
  });
  for (const server of fleet.primaries) server.become("gone");
  for (const shopNo of [0, 1, 2, 0]) await recorder.record(ofShop(shopNo));
  fleet.primaries[1]!.become("silent");
  await delay(0);
  await recorder.close({ drainMs: 50 });
  assertEquals(told.lines.slice(0, 4), [
    "queued 0",
    "queued 1",
    "queued 2",
    "dropped 0",
  ]);
  assertEquals(told.lines.slice(4).sort(), [
    "dropped 0",
    "dropped 1",
    "dropped 2",
  ]);
  assertEquals(recorder.pending, 0);
  assertEquals(fleet.listeners, 0);
});

Deno.test("A set on a server that does not answer holds up the trimming of no other", async () => {
  const fleet = new Fleet(2);
  const recorder = new WebhookRecorder(fleet, { retentionSeconds: 60 });
  await recorder.record(ofShop(0));
  await recorder.flush();
  fleet.primaries[0]!.become("deaf");
  void recorder.record(ofShop(0));
  await recorder.record(ofShop(1));
  const names = () => fleet.primaries[1]!.ran.map(([name]) => name);
  await until(() => names().includes("EXPIRE"), "trimmed");
  assertEquals(names(), ["ZADD", "ZREMRANGEBYSCORE", "EXPIRE"]);
  fleet.primaries[0]!.become("well");
  await recorder.close();
});

Deno.test("A client that cannot say where a key goes is one of one server", async () => {
  const { origin, isClosed } = NOWHERE;
  let asked = 0;
  const recorder = new WebhookRecorder({
    origin,
    isClosed,
    send: () => Promise.resolve(1),
    pipeline: (commands) => Promise.resolve(commands.map(() => 1)),
    originOf: () => (asked++, origin),
    onFailover: () => undefined,
  });
  await recorder.record(ofShop(1));
  await recorder.record(ofShop(2));
  assertEquals(asked, 0);
  await recorder.close();
});
