// After a failover the last acknowledged events are written once more.
import "../support/strict.ts";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { delay } from "@std/async/delay";
import { type RecorderOptions, WebhookRecorder } from "../../mod.ts";
import { until } from "../support/wait.ts";
import { keyOfShop, ofShop, Told } from "./doubles.ts";
import { Fleet } from "./fleet.ts";

/** A recorder on two servers, with 10 events on each. */
async function recorded(options: RecorderOptions = {}) {
  const fleet = new Fleet(2);
  const told = new Told();
  const recorder = new WebhookRecorder(fleet, {
    onError: told.onError,
    ...options,
  });
  for (let shopNo = 0; shopNo < 20; shopNo++) {
    await recorder.record({ ...ofShop(shopNo), receivedAt: shopNo * 1000 });
  }
  return { fleet, told, recorder };
}

Deno.test("What a server acknowledged last is written again to the one that takes over, with the same member and time", async () => {
  const { fleet, told, recorder } = await recorded();
  const [from, other] = fleet.primaries;
  const statsBefore = recorder.stats();
  const calls = other!.calls;
  const to = fleet.promote(0, { lacking: 4 });
  assertEquals(to.sets.size, 6);
  await recorder.flush();
  assertEquals(to.sets, from!.sets);
  assertEquals(other!.calls, calls);
  assertEquals(recorder.stats(), { ...statsBefore, repeated: 10 });
  assertEquals(told.lines, []);
  await recorder.close();
});

Deno.test("An event with a delivery id keeps the later of its times, also when it is written again", async () => {
  const fleet = new Fleet(1);
  await using recorder = new WebhookRecorder(fleet);
  const event = { ...ofShop(0), deliveryId: "d" };
  await recorder.record({ ...event, receivedAt: 1_000_000 });
  await recorder.record({ ...event, receivedAt: 2_000_000 });
  await recorder.record({ ...event, receivedAt: 1_500_000 });
  const to = fleet.promote(0, { lacking: 2 });
  await recorder.flush();
  assertEquals([...to.members(keyOfShop(0)).values()], [2000]);
  assert(to.ran.every((command) => command[2] === "GT"));
});

Deno.test("Sets are trimmed after they were written again", async () => {
  const { fleet, recorder } = await recorded({ retentionSeconds: 60 });
  await recorder.flush();
  const to = fleet.promote(0, { lacking: 1000 });
  assertEquals(to.ran, []);
  await recorder.flush();
  const expired = to.ran.filter(([name]) => name === "EXPIRE");
  assertEquals(expired.length, 10);
  await recorder.close();
});

Deno.test("flush() and close() wait for what is written again, and the next attempts come by backoff", async () => {
  const { fleet, recorder } = await recorded();
  const to = fleet.promote(0, { lacking: 10 });
  to.become("down");
  let isFlushed = false;
  const flushed = recorder.flush().then(() => isFlushed = true);
  await delay(700);
  assert(!isFlushed);
  assert(to.calls < 6, `${to.calls} attempts`);
  assertEquals(recorder.pending, 0);
  to.become("well");
  await flushed;
  assertEquals(to.sets.size, 10);

  fleet.promote(0, { lacking: 10 }).become("silent");
  const startedAt = performance.now();
  await recorder.close({ drainMs: 200 });
  assert(performance.now() - startedAt > 150);
  assertEquals(recorder.stats().dropped, 0); // they are recorded
});

Deno.test("What another failover may have lost of the repeats is written again, too", async () => {
  const { fleet, recorder } = await recorded();
  fleet.promote(0, { lacking: 10 });
  await recorder.flush();
  const to = fleet.promote(0, { lacking: 10 });
  assertEquals(to.sets.size, 0);
  await recorder.flush();
  assertEquals(to.sets.size, 10);
  assertEquals(recorder.stats().repeated, 20);
  await recorder.close();
});

Deno.test("A repeat that is refused for good is left out, without a report", async () => {
  const fleet = new Fleet(1);
  const told = new Told();
  await using recorder = new WebhookRecorder(fleet, {
    keyOf: ({ shopNo }) => keys[shopNo]!,
    onError: told.onError,
  });
  const keys = ["key_0_a", "key_1_b"];
  await recorder.record(ofShop(0));
  await recorder.record(ofShop(1));
  const [from] = fleet.primaries;
  const to = fleet.promote(0, { lacking: 10, tells: false });
  const run = to.run.bind(to);
  to.run = (command, signal) =>
    run(command[1] === keys[0] ? ["ZADD", "wrong", 1, "m"] : command, signal);
  fleet.tell(from!, to);
  await recorder.flush();
  assertEquals(to.members(keys[1]!).size, 1);
  assertEquals([recorder.stats().repeated, told.lines], [1, []]);
});

Deno.test("A reply that comes after the failover leads to a repeat as well", async () => {
  const fleet = new Fleet(1);
  await using recorder = new WebhookRecorder(fleet);
  const [from] = fleet.primaries;
  from!.become("silent");
  const outcome = recorder.record(ofShop(0));
  await delay(0);
  const to = fleet.promote(0);
  from!.become("well"); // it still answers
  assertEquals((await outcome).status, "recorded");
  await recorder.flush();
  assertEquals(to.members(keyOfShop(0)), from!.members(keyOfShop(0)));
});

Deno.test("Nothing is written again with 0, after a move without a failover, or on one server", async () => {
  const off = await recorded({ repeatAfterFailoverMs: 0 });
  const moved = await recorded();
  for (const { fleet, recorder } of [off, moved]) {
    const to = fleet.promote(0, { lacking: 10, tells: fleet === off.fleet });
    await recorder.flush();
    assertEquals(to.sets.size, 0);
    assertEquals(recorder.stats().repeated, 0);
    await recorder.close();
    assertEquals(fleet.listeners, 0);
  }
});

Deno.test("repeatAfterFailoverMs goes back from the last acknowledgement, and is checked", async () => {
  const fleet = new Fleet(1);
  await using recorder = new WebhookRecorder(fleet, {
    repeatAfterFailoverMs: 300,
  });
  await recorder.record(ofShop(0));
  await delay(400);
  await recorder.record(ofShop(1));
  await recorder.record(ofShop(2));
  await delay(400);
  const to = fleet.promote(0, { lacking: 10 });
  await recorder.flush();
  assertEquals([...to.sets.keys()].sort(), [keyOfShop(1), keyOfShop(2)]);
  for (const repeatAfterFailoverMs of [-1, 0.5, NaN, "1", null, 2 ** 31]) {
    assertThrows(
      () =>
        new WebhookRecorder(fleet, {
          repeatAfterFailoverMs,
        } as RecorderOptions),
      TypeError,
      "repeatAfterFailoverMs is ",
    );
  }
});

Deno.test("10,000 events on one server are written again in chunks", async () => {
  const fleet = new Fleet(1);
  const recorder = new WebhookRecorder(fleet);
  await Promise.all(
    Array.from({ length: 10_000 }, (_, i) => recorder.record(ofShop(i))),
  );
  const to = fleet.promote(0, { lacking: 20_000 });
  await until(() => recorder.stats().repeated === 10_000, "repeated");
  assertEquals([to.sets.size, to.calls], [10_000, 10]);
  await recorder.close();
});
