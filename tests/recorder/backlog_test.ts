// What is queued: stored, sent again by backoff, and forgotten.
import "../support/strict.ts";
import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { delay } from "@std/async/delay";
import { type RecordOutcome, Redis, WebhookRecorder } from "../../mod.ts";
import { Availability } from "../../recorder/outage.ts";
import { Backlog } from "../../recorder/backlog.ts";
import { Entry } from "../../recorder/entry.ts";
import { Epoch } from "../../recorder/epochs.ts";
import { Outbox } from "../../recorder/outbox.ts";
import type { Kept, OutboxStore } from "../../recorder/outbox.ts";
import { Outcomes } from "../../recorder/outcomes.ts";
import { Writer } from "../../recorder/writer.ts";
import { startRedis } from "../support/redis_server.ts";
import { DURABLE, EVENT, Gone } from "./doubles.ts";

const GONE = new Error("gone");

/** A store whose calls end when a test says so. */
class SlowStore implements OutboxStore {
  readonly appends: { members: string[]; end: PromiseWithResolvers<void> }[] =
    [];
  readonly removed: string[] = [];

  load(): Promise<readonly Kept[]> {
    return Promise.resolve([]);
  }

  append(entries: readonly Kept[]): Promise<void> {
    const members = entries.flatMap(({ members }) => members);
    const end = Promise.withResolvers<void>();
    this.appends.push({ members, end });
    return end.promise;
  }

  remove(entries: readonly Kept[]): Promise<void> {
    this.removed.push(...entries.flatMap(({ members }) => members));
    return Promise.reject(new Error("cannot remove"));
  }
}

/** A backlog for 3 events, whose Redis is away until a test says otherwise. */
class Away {
  isAway = true;
  readonly sent: string[] = [];
  readonly store = new SlowStore();
  readonly changes: string[] = [];
  readonly outcomes = new Outcomes({
    onError: (error, status) => this.changes.push(`${status}: ${error}`),
    onChange: () => {},
  });
  readonly #writer = new Writer(
    {
      origin: { hostname: "nowhere", port: 1, database: 0 },
      isClosed: false,
      send: (command) => {
        if (this.isAway) return Promise.reject(GONE);
        this.sent.push(
          ...command.slice(2).map(String).filter((it) => it !== "1"),
        );
        return Promise.resolve(1);
      },
      pipeline: () => Promise.reject(new Error("not used")),
    },
    {},
    undefined,
  );
  readonly outbox = new Outbox(this.outcomes, this.store, 3);
  readonly availability = new Availability(false);
  readonly backlog = new Backlog(
    this.#writer,
    this.outcomes,
    this.outbox,
    this.availability,
  );

  hold(member: string): Promise<RecordOutcome> {
    const event = { mallId: "mall", shopNo: 1, eventType: "e" };
    return new Promise((resolve) => {
      const entry = new Entry(event, 1, new Epoch(), resolve);
      entry.key = "key";
      entry.score = 1;
      entry.members = [member];
      this.backlog.hold(entry, GONE);
    });
  }
}

Deno.test("An event is called queued once the store has it, those of one turn in one call", async () => {
  const away = new Away();
  const { store, changes, backlog, outbox } = away;
  const outcomes: RecordOutcome[] = [];
  const held = ["a", "b"].map((member) => away.hold(member));
  for (const outcome of held) outcome.then((it) => outcomes.push(it));
  await delay(0);
  const third = away.hold("c"); // while the first call is under way
  await delay(0);
  assertEquals(store.appends.map(({ members }) => members), [["a", "b"]]);
  assertEquals([outcomes, changes], [[], []]);
  assertEquals(outbox.pending, 3);
  store.appends[0]!.end.resolve();
  await Promise.all(held);
  assertEquals(outcomes.map(({ status }) => status), ["queued", "queued"]);
  assertEquals(changes, ["queued: Error: gone", "queued: Error: gone"]);
  assertEquals(store.appends[1]!.members, ["c"]);
  store.appends[1]!.end.resolve();
  assertEquals((await third).status, "queued");
  backlog.clear();
});

Deno.test("What is sent is forgotten by the store, in the order in which it came", async () => {
  const away = new Away();
  const { store, backlog, outbox } = away;
  const held = ["a", "b", "c"].map((member) => away.hold(member));
  await delay(0);
  store.appends[0]!.end.resolve();
  await Promise.all(held);
  assertEquals((await away.hold("d")).status, "dropped"); // there is no room
  away.isAway = false;
  while (outbox.pending > 0) {
    backlog.wake();
    await delay(1);
  }
  assertEquals(away.sent, ["a", "b", "c"]);
  assertEquals(store.removed, ["a", "b", "c"]);
});

Deno.test("An event that Redis takes before the store has it is recorded", async () => {
  const away = new Away();
  const { store, backlog, outbox, changes } = away;
  const held = away.hold("a");
  away.isAway = false;
  while (outbox.pending > 0) {
    backlog.wake();
    await delay(1);
  }
  assertEquals((await held).status, "recorded");
  store.appends[0]!.end.resolve();
  await delay(0);
  assertEquals(changes, []);
});

Deno.test("What the store cannot take is dropped with its error, and not sent", async () => {
  const away = new Away();
  const { store, backlog, outbox, outcomes, availability } = away;
  const lost = away.hold("a");
  await delay(0);
  const kept = away.hold("b");
  const full = new Error("disk full");
  store.appends[0]!.end.reject(full);
  assertEquals(await lost, { status: "dropped", count: 1, error: full });
  await delay(0);
  store.appends[1]!.end.resolve();
  assertEquals((await kept).status, "queued");
  assertEquals(outbox.pending, 1);
  away.isAway = false;
  while (outbox.pending > 0) {
    backlog.wake();
    await delay(1);
  }
  assertEquals(away.sent, ["b"]);
  const { queued, sent, dropped } = outcomes.counts;
  assertEquals([queued, sent, dropped], [2, 1, 1]);
  assertEquals(availability.outage, undefined);
});

Deno.test("Without an outbox each event is tried, and then dropped", async () => {
  await using server = await startRedis(DURABLE);
  await using redis = new Redis(server.url, { retry: false });
  await using recorder = new WebhookRecorder(redis, { outboxCapacity: 0 });
  await server.stop();
  const since: unknown[] = [];
  for (let i = 0; i < 3; i++) {
    assertEquals((await recorder.record(EVENT)).status, "dropped");
    since.push(recorder.stats().awaySince);
    await delay(10);
  }
  assertEquals(new Set(since).size, 1); // since the first of them
  await server.start();
  while ((await recorder.record(EVENT)).status !== "recorded") await delay(10);
  assertEquals((await recorder.record(EVENT)).status, "recorded");
});

Deno.test("Sending the outbox makes one attempt at a time, without the retries of the client", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const recorder = new WebhookRecorder(redis);
  await recorder.record(EVENT);
  await server.stop();
  assertEquals((await recorder.record(EVENT)).status, "queued");
  const { retries } = redis.stats();
  await delay(1500);
  assertEquals(redis.stats().retries, retries);
  await recorder.close({ drainMs: 0 });
});

Deno.test("Attempts to send the outbox become rarer while they fail", async () => {
  const sender = new Gone();
  const recorder = new WebhookRecorder(sender);
  await recorder.record(EVENT);
  await delay(2000);
  // One at once, then after 100, 300, 700 and 1500 ms, give or take a fifth.
  assertGreater(sender.attempts, 3);
  assertLess(sender.attempts, 7);
  await recorder.close({ drainMs: 0 });
});

Deno.test("A full outbox asks sooner whether Redis is back, but not with each event", async () => {
  const sender = new Gone();
  const recorder = new WebhookRecorder(sender, { outboxCapacity: 1 });
  await recorder.record(EVENT);
  await delay(2500); // the waits between attempts are a second now
  sender.attempts = 0;
  const startedAt = performance.now();
  while (performance.now() - startedAt < 1500) {
    assertEquals((await recorder.record(EVENT)).status, "dropped");
    await delay(5);
  }
  assertGreater(sender.attempts, 4);
  assertLess(sender.attempts, 20);
  await recorder.close({ drainMs: 0 });
});
