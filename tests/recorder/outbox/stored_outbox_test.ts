// What is queued is kept in a store: when an event is answered, what becomes of it if the store fails, and what is left there.
import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type Command,
  fateOf,
  type RecorderOptions,
  type RecordOutcome,
  Redis,
  type Sender,
  type StoredEvent,
  WebhookRecorder,
} from "../../../mod.ts";
import { OutboxError } from "../../../recorder/outbox/outbox_store.ts";
import { setSink, type TelemetryEvents } from "../../../client/telemetry.ts";
import { startRedis } from "../../support/redis_server.ts";
import { until } from "../../support/wait.ts";
import { cardinality, EVENT, KEY, NOWHERE, ofShop, Told } from "../doubles.ts";
import { MapStore, storedEvent, storeWith } from "../map_store.ts";

/** A client whose Redis is away until a test says otherwise. It keeps the members that it gets, with their scores. */
class Away implements Sender {
  readonly origin = NOWHERE.origin;
  isClosed = false;
  isAway = true;
  attempts = 0;
  readonly members: string[] = [];

  send(command: Command): Promise<unknown> {
    this.attempts++;
    if (this.isAway) return Promise.reject(new Error("gone"));
    this.members.push(
      ...command.slice(2).filter((_, i) => i % 2 === 1).map(String),
    );
    return Promise.resolve(1);
  }

  pipeline(commands: readonly Command[]): Promise<unknown[]> {
    return Promise.all(commands.map((command) => this.send(command)));
  }
}

/** A recorder whose Redis is away, with members a, b, c ... */
function setUp(options: RecorderOptions = {}) {
  const sender = new Away();
  const store = new MapStore();
  const told = new Told();
  const errors: OutboxError[] = [];
  let members = 0;
  const recorder = new WebhookRecorder(sender, {
    outbox: store,
    newMember: () => String.fromCharCode(97 + members++),
    onError: told.onError,
    onOutboxError: (error) => errors.push(error),
    ...options,
  });
  return { sender, store, told, errors, recorder };
}

const statusOf = async (outcome: Promise<RecordOutcome>) =>
  (await outcome).status;

Deno.test("An event is called queued once the store has it, those of one turn in one call", async () => {
  const { recorder, store, told } = setUp();
  const gates = [0, 1].map(() => Promise.withResolvers<void>());
  let appends = 0;
  store.gate = (method) =>
    method === "append" ? gates[appends++]!.promise : Promise.resolve();
  const outcomes: RecordOutcome[] = [];
  const held = [EVENT, EVENT].map((event) => recorder.record(event));
  for (const outcome of held) outcome.then((it) => outcomes.push(it));
  await until(() => appends === 1);
  const third = recorder.record(EVENT); // while the first call is under way
  await until(() => recorder.pending === 3);
  await delay(5);
  assertEquals([outcomes, told.lines, appends], [[], [], 1]);
  assertEquals(recorder.stats().stored, 0);
  gates[0]!.resolve();
  await Promise.all(held);
  assertEquals(outcomes.map(({ status }) => status), ["queued", "queued"]);
  assertMatch(String(outcomes[0]!.error), /gone/);
  assertEquals(told.lines, ["queued 7", "queued 7"]);
  assertEquals(recorder.stats().stored, 2);
  gates[1]!.resolve();
  assertEquals(await statusOf(third), "queued");
  assertEquals(
    store.calls.filter(([method]) => method !== "load"),
    [["append", 2], ["append", 1]],
  );
  assertEquals(store.members, ["a", "b", "c"]);
  await recorder.close({ drainMs: 0 });
});

Deno.test("An entry of the store has all that is needed to send the event, as plain data", async () => {
  const { recorder, store } = setUp();
  const receivedAt = 1_700_000_000_999;
  await recorder.record({ ...EVENT, deliveryId: "d", receivedAt }, 2);
  await recorder.record({ ...ofShop(8), receivedAt });
  const [first, second] = [...store.entries.values()] as StoredEvent[];
  assertEquals(second, {
    id: second!.id,
    key: "webhook_frequency_mall_8_orders",
    score: 1_700_000_000,
    members: ["a"],
    event: { ...ofShop(8), receivedAt },
  });
  assertEquals(first!.event, { ...EVENT, deliveryId: "d", receivedAt });
  assertEquals(first!.members.length, 2);
  assertEquals(JSON.parse(JSON.stringify(first)), first);
  assertMatch(first!.id, /^[0-9a-z-]{1,40}$/);
  assertLess(first!.id, second!.id);
  await recorder.close({ drainMs: 0 });
});

Deno.test("What is sent is removed from the store, in batches", async () => {
  const { recorder, sender, store } = setUp();
  await Promise.all(Array.from({ length: 2500 }, () => recorder.record(EVENT)));
  assertEquals(store.entries.size, 2500);
  assertLess(store.countOf("append"), 5);
  sender.isAway = false;
  await recorder.close();
  assertEquals(sender.members.length, 2500);
  assertEquals(store.entries.size, 0);
  assertLess(store.countOf("remove"), 5);
  assertEquals(recorder.stats().stored, 0);
});

Deno.test("An event that is recorded at once never comes to the store", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const store = new MapStore();
  await using recorder = new WebhookRecorder(redis, { outbox: store });
  assertEquals(await statusOf(recorder.record(EVENT)), "recorded");
  await recorder.flush();
  assertEquals(store.calls, [["load", 0]]);
});

Deno.test("An event that Redis takes while its append is under way is recorded, and removed from the store", async () => {
  const { recorder, sender, store, told } = setUp();
  const gate = Promise.withResolvers<void>();
  store.gate = (method) =>
    method === "append" ? gate.promise : Promise.resolve();
  const held = recorder.record(EVENT);
  await until(() => store.countOf("append") === 1);
  sender.isAway = false;
  await recorder.flush();
  assertEquals(await statusOf(held), "recorded");
  gate.resolve();
  await recorder.close();
  assertEquals(told.lines, []);
  assertEquals(store.countOf("remove"), 1);
});

Deno.test("What the store cannot take is dropped with its error and the fate of the event, and not sent", async () => {
  const { recorder, sender, store, told, errors } = setUp();
  const full = new Error("disk full");
  store.failures.set("append", full);
  const lost = await recorder.record(EVENT);
  assertEquals(lost.status, "dropped");
  assertInstanceOf(lost.error, OutboxError);
  assertEquals(lost.error.message, "Cannot store events: disk full");
  assertEquals(lost.error.cause, full);
  assertEquals(fateOf(lost.error), "unknown");
  assertEquals(recorder.pending, 0);
  assertMatch(String(recorder.stats().lastOutboxError), /disk full/);
  assertMatch(Deno.inspect(recorder), /, Cannot store events: disk full$/);
  store.failures.clear();
  assertEquals(await statusOf(recorder.record(EVENT)), "queued");
  assertEquals(recorder.stats().lastOutboxError, undefined);
  sender.isAway = false;
  await recorder.close();
  assertEquals(sender.members, ["b"]);
  assertEquals(told.lines, ["dropped 7", "queued 7"]);
  assertEquals(errors, []);
  const { queued, sent, dropped } = recorder.stats();
  assertEquals([queued, sent, dropped], [2, 1, 1]);
});

Deno.test("An event that was dropped is removed from a store that has taken it nevertheless", async () => {
  const { recorder, store } = setUp();
  const append = store.append.bind(store);
  store.append = async (entries) => {
    await append(entries);
    throw new Error("no acknowledgement");
  };
  assertEquals(await statusOf(recorder.record(EVENT)), "dropped");
  await until(() => store.countOf("remove") === 1);
  assertEquals(store.entries.size, 0);
  await recorder.close();
});

Deno.test("With whenStoreFails memory an event is queued in memory alone, and stored once the store works", async () => {
  const { recorder, store, sender } = setUp({ whenStoreFails: "memory" });
  store.failures.set("append", new Error("disk full"));
  const held = await recorder.record(EVENT);
  assertEquals(held.status, "queued");
  assertInstanceOf(held.error, OutboxError);
  assertMatch(held.error.message, /^Event is in memory alone, .*: disk full$/);
  assertEquals([recorder.pending, recorder.stats().stored], [1, 0]);
  const calls = store.countOf("append");
  const startedAt = performance.now();
  const others = await Promise.all(
    [EVENT, EVENT].map((e) => recorder.record(e)),
  );
  assertLess(performance.now() - startedAt, 60); // not after another attempt
  assertLess(store.countOf("append") - calls, 2);
  assert(others.every(({ error }) => error instanceof OutboxError));
  store.failures.clear();
  await until(() => recorder.stats().stored === 3); // no event comes any more
  assertEquals(store.members, ["a", "b", "c"]);
  sender.isAway = false;
  await recorder.close();
  assertEquals(sender.members, ["a", "b", "c"]);
  assertEquals(store.entries.size, 0);
});

/** Takes no entry of more than 300,000 characters. */
class Narrow extends MapStore {
  override append(entries: readonly StoredEvent[]): Promise<void> {
    if (entries.every((entry) => JSON.stringify(entry).length < 300_000)) {
      return super.append(entries);
    }
    return Promise.reject(new TypeError("an event is too large"));
  }
}

Deno.test("An event that is too large for the store costs no other one its place there", async () => {
  const large = "x".repeat(300_000);
  for (const whenStoreFails of ["drop", "memory"] as const) {
    for (const field of ["mallId", "eventType", "deliveryId"]) {
      const store = new Narrow();
      const { recorder } = setUp({ outbox: store, whenStoreFails });
      const event = { ...EVENT, deliveryId: "d" };
      const outcomes = await Promise.all([
        recorder.record({ ...event, deliveryId: "before" }),
        recorder.record({ ...event, [field]: large }),
        recorder.record({ ...event, deliveryId: "after" }),
      ]);
      assertEquals(
        outcomes.map(({ status }) => status),
        ["queued", whenStoreFails === "drop" ? "dropped" : "queued", "queued"],
      );
      assertInstanceOf(outcomes[1].error, OutboxError);
      await recorder.record({ ...event, deliveryId: "later" });
      await until(() => store.entries.size === 3);
      await recorder.close({ drainMs: 0 });
      assertEquals(recorder.stats().left, 3);
      assertEquals(recorder.stats().dropped, 1);
    }
  }
});

Deno.test("What is in memory alone is tried once more by close, and lost if the store still fails", async () => {
  for (const isLost of [false, true]) {
    const { recorder, store, told } = setUp({ whenStoreFails: "memory" });
    store.failures.set("append", new Error("disk full"));
    assertEquals(await statusOf(recorder.record(EVENT)), "queued");
    await delay(700); // the waits between two attempts have become longer
    if (!isLost) store.failures.clear();
    const startedAt = performance.now();
    await recorder.close({ drainMs: 0 });
    assertLess(performance.now() - startedAt, 100);
    const { left, dropped } = recorder.stats();
    assertEquals([left, dropped], isLost ? [0, 1] : [1, 0]);
    assertEquals(told.lines, ["queued 7", ...isLost ? ["dropped 7"] : []]);
    assertEquals(store.members, isLost ? [] : ["a"]);
  }
});

Deno.test("A store that cannot remove is reported once; what it keeps is tried again", async () => {
  const { recorder, sender, store, errors } = setUp();
  store.failures.set("remove", new Error("read-only"));
  sender.isAway = false;
  for (const [i, member] of ["a", "b"].entries()) {
    sender.isAway = true;
    await recorder.record(EVENT);
    sender.isAway = false;
    await recorder.flush();
    await until(() => store.countOf("remove") === i + 1);
    assert(store.members.includes(member));
  }
  assertEquals(errors.length, 1);
  assertEquals(errors[0]!.operation, "remove");
  assertMatch(errors[0]!.message, /does no harm: read-only$/);
  store.failures.clear();
  await recorder.close();
  assertEquals(store.entries.size, 0);
});

Deno.test("Events are removed although others before them cannot be", async () => {
  const newMember = () => crypto.randomUUID();
  const { store, recorder, sender } = setUp({ newMember });
  await Promise.all(Array.from({ length: 2500 }, () => recorder.record(EVENT)));
  const remove = store.remove.bind(store);
  let failed = 0;
  store.remove = async (ids) => {
    store.remove = remove;
    failed = ids.length;
    await until(() => recorder.pending === 0);
    throw new Error("these cannot be removed");
  };
  sender.isAway = false;
  await recorder.flush();
  assertGreater(failed, 0);
  assertEquals(store.entries.size, failed);
  await recorder.close();
  assertEquals(store.entries.size, 0);
});

Deno.test("A store that never answers makes one event wait for five seconds, and close for as long", async () => {
  const { recorder, sender, store, errors } = setUp();
  store.gate = (method) =>
    method === "load" ? Promise.resolve() : new Promise(() => {});
  const startedAt = performance.now();
  const outcome = await recorder.record(EVENT);
  assertEquals(outcome.status, "dropped");
  assertMatch(String(outcome.error), /no answer for 5000 ms/);
  assertGreater(performance.now() - startedAt, 4900);
  assertEquals(errors, []);
  const droppedAt = performance.now();
  const second = await recorder.record(EVENT);
  assertLess(performance.now() - droppedAt, 500);
  assertEquals(second.status, "dropped");
  assertEquals(
    String(second.error),
    "OutboxError: Cannot store events: the store has not answered for 5 s",
  );
  const closedAt = performance.now();
  await recorder.close({ drainMs: 0 });
  assertLess(performance.now() - closedAt, 6500);
  assertEquals([store.countOf("append"), store.countOf("remove")], [1, 1]);
  assertEquals(sender.isAway, true);
});

Deno.test("While an append hangs no other one is made, and events are answered at once; then appends go on", async () => {
  const options = [{}, { whenStoreFails: "memory" }] as const;
  await Promise.all(options.map(async (option) => {
    const { recorder, store, told } = setUp(option);
    const hanging = Promise.withResolvers<void>();
    store.gate = (method) =>
      method === "append" ? hanging.promise : Promise.resolve();
    const first = await recorder.record(EVENT);
    const isKept = "whenStoreFails" in option;
    assertEquals(first.status, isKept ? "queued" : "dropped");
    for (let i = 0; i < 20; i++) {
      const startedAt = performance.now();
      const { status, error } = await recorder.record(EVENT);
      assertLess(performance.now() - startedAt, 500);
      assertEquals(status, first.status);
      if (i > 0 || !isKept) {
        assertMatch(String(error), /the store has not answered for \d+ s$/);
      }
      await delay(100); // longer than the pause after a failed append
    }
    assertEquals(store.countOf("append"), 1);
    store.gate = () => Promise.resolve();
    hanging.resolve();
    if (isKept) await until(() => recorder.stats().stored === 21);
    await until(() => store.entries.size === (isKept ? 21 : 0));
    const last = await recorder.record(EVENT);
    assertEquals([last.status, String(last.error)], ["queued", "Error: gone"]);
    assertEquals(recorder.stats().lastOutboxError, undefined);
    assertEquals(
      new Set(told.calls.map(({ info }) => info.status)).size,
      isKept ? 1 : 2,
    );
    await recorder.close({ drainMs: 0 });
  }));
});

Deno.test("A store that never loads holds up no event, and not close", async () => {
  const { recorder, sender, store } = setUp();
  store.gate = (method) =>
    method === "load" ? new Promise(() => {}) : Promise.resolve();
  sender.isAway = false;
  assertEquals(await statusOf(recorder.record(EVENT)), "recorded");
  const startedAt = performance.now();
  await recorder.close();
  assertLess(performance.now() - startedAt, 500);
});

Deno.test("close leaves in the store what is not sent, and appends what is not there yet", async () => {
  const { recorder, sender, store, told } = setUp();
  assertEquals(await statusOf(recorder.record(EVENT)), "queued");
  const stuck = Promise.withResolvers<never>();
  sender.send = () => stuck.promise;
  const inBacklog = recorder.record(EVENT);
  const withDelivery = recorder.record({ ...EVENT, deliveryId: "d" }); // its members are being made
  await recorder.close({ drainMs: 0 });
  assertEquals(await statusOf(inBacklog), "queued");
  assertEquals(await statusOf(withDelivery), "queued");
  assertEquals(store.entries.size, 3);
  const { pending, queued, dropped, left, stored } = recorder.stats();
  assertEquals([pending, queued, dropped, left, stored], [0, 3, 0, 3, 0]);
  assertEquals(told.lines, ["queued 7", "queued 7", "queued 7"]);
  const calls = store.calls.length;
  await delay(20);
  assertEquals(store.calls.length, calls); // the store may be closed
  await recorder.flush();
});

Deno.test("Events whose first attempt is under way when the recorder is closed are appended and called queued", async () => {
  const { recorder, sender, store } = setUp();
  sender.send = () => new Promise(() => {});
  const outcomes = Array.from({ length: 2500 }, () => recorder.record(EVENT));
  await delay(5);
  await recorder.close({ drainMs: 0 });
  for (const outcome of outcomes) {
    const { status, error } = await outcome;
    assertEquals(status, "queued");
    assertMatch(String(error), /2500 events are left to the store: /);
  }
  assertEquals(store.entries.size, 2500);
});

Deno.test("Events are dropped by close if the store cannot take them", async () => {
  const { recorder, sender, store } = setUp();
  sender.send = () => new Promise(() => {});
  store.failures.set("append", new Error("disk full"));
  const outcomes = Array.from({ length: 2500 }, () => recorder.record(EVENT));
  await delay(5);
  await recorder.close({ drainMs: 0 });
  for (const outcome of outcomes) {
    assertMatch(String((await outcome).error), /disk full/);
  }
  assertEquals(store.countOf("append"), 1); // the first failure is that of all
  assertEquals(recorder.stats().dropped, 2500);
});

Deno.test("Once the client is closed, events are left in the store", async () => {
  const { recorder, sender, store } = setUp();
  assertEquals(await statusOf(recorder.record(EVENT)), "queued");
  sender.isClosed = true;
  assertEquals(await statusOf(recorder.record(EVENT)), "queued");
  await recorder.flush();
  assertEquals(store.members.sort(), ["a", "b"]);
  const { left, pending } = recorder.stats();
  assertEquals([left, pending], [2, 0]);
  await recorder.close();
});

Deno.test("With a wrong password events are kept, and sent once the password is right", async () => {
  await using server = await startRedis({ durable: true });
  await server.cli("CONFIG", "SET", "requirepass", "another");
  await using redis = new Redis(server.url, { password: "mine", retry: false });
  await using admin = new Redis(server.url, { password: "another" });
  const store = new MapStore();
  const recorder = new WebhookRecorder(redis, { outbox: store });
  const outcomes = Array.from({ length: 3 }, () => recorder.record(EVENT));
  for (const outcome of outcomes) {
    assertEquals(await statusOf(outcome), "queued");
  }
  await delay(1500);
  for (let i = 0; i < 5; i++) { // each makes an attempt
    recorder.flush();
    await delay(100);
  }
  assertEquals([recorder.pending, recorder.stats().dropped], [3, 0]);
  assertMatch(recorder.stats().reason!, /unusable by this client/);
  await admin.send(["CONFIG", "SET", "requirepass", "mine"]);
  await recorder.flush();
  assertEquals(await redis.send(["ZCARD", KEY]), 3);
  await recorder.close();
  assertEquals(store.entries.size, 0);
});

Deno.test("What Redis refuses for good is set aside, or removed where the store cannot do that", async () => {
  await using server = await startRedis({ durable: true });
  for (const canSetAside of [true, false]) {
    await using redis = new Redis(server.url);
    const store = storeWith([storedEvent(1), storedEvent(2, { key: "text" })]);
    if (!canSetAside) Object.assign(store, { setAside: undefined });
    await server.cli("SET", "text", "x");
    const told = new Told();
    const recorder = new WebhookRecorder(redis, {
      outbox: store,
      onError: told.onError,
    });
    await recorder.flush();
    await recorder.close();
    assertEquals(store.entries.size, 0);
    assertEquals(told.lines, ["dropped 7"]);
    const { restored, sent, dropped } = recorder.stats();
    assertEquals([restored, sent, dropped], [2, 1, 1]);
    const reasons = [...store.aside];
    assertEquals(reasons.length, canSetAside ? 1 : 0);
    if (canSetAside) {
      assertEquals(reasons[0]![0], storedEvent(2).id);
      assertMatch(reasons[0]![1], /^WRONGTYPE /);
    }
  }
});

Deno.test("A store is used until close is over, and its entries are those of the set", async () => {
  await using server = await startRedis({ durable: true });
  await using redis = new Redis(server.url, { retry: false });
  const store = new MapStore();
  const recorder = new WebhookRecorder(redis, { outbox: store });
  await server.stop();
  const outcomes = await Promise.all(
    Array.from(
      { length: 20 },
      (_, i) => recorder.record(ofShop(i % 2), 1 + i % 3),
    ),
  );
  assert(outcomes.every(({ status }) => status === "queued"));
  await recorder.close({ drainMs: 0 });
  assertEquals(store.entries.size, 20);
  await server.start();
  await using next = new WebhookRecorder(redis, { outbox: store });
  await next.flush();
  const cards = [0, 1].map((shop) =>
    cardinality(server, `webhook_frequency_mall_${shop}_orders`)
  );
  const [even, odd] = await Promise.all(cards);
  assertEquals(
    even! + odd!,
    outcomes.reduce((sum, { count }) => sum + count, 0),
  );
});

Deno.test("A recorder refuses what is not a store, and an unknown choice", () => {
  const make = (options: object) => () =>
    new WebhookRecorder(new Away(), options as RecorderOptions);
  for (
    const outbox of [null, "file", {}, { load: () => {}, append: () => {} }]
  ) {
    assertThrows(
      make({ outbox }),
      TypeError,
      "expected an OutboxStore, with the methods load, append and remove",
    );
  }
  assertThrows(
    make({ whenStoreFails: "retry" }),
    TypeError,
    '"drop" or "memory"',
  );
  assertThrows(make({ onOutboxError: 1 }), TypeError, "expected a function");
});

Deno.test("A store whose methods throw or answer at once costs no more than one that rejects", async () => {
  const { recorder, store, told } = setUp();
  await until(() => store.countOf("load") === 1);
  store.append = () => {
    throw new Error("thrown");
  };
  const { status, error } = await recorder.record(EVENT);
  assertEquals([status, String(error)], [
    "dropped",
    "OutboxError: Cannot store events: thrown",
  ]);
  assertEquals(told.lines, ["dropped 7"]);
  assertNotEquals(recorder.stats().lastOutboxError, undefined);
  await recorder.close();
});

Deno.test("Telemetry says what is restored from the store, and what is left there", async () => {
  const changes: [change: string, count: number, pending: number][] = [];
  setSink({
    publish: (name, _origin, event) => {
      if (name !== "outbox") return;
      const { change, count, pending } = event as TelemetryEvents["outbox"];
      changes.push([change, count, pending]);
    },
    trace: (_origin, _commands, _isPipeline, run) => run(),
  });
  const store = storeWith([storedEvent(1, { members: ["a", "b"] })]);
  const { recorder } = setUp({ outbox: store });
  await until(() => recorder.pending === 2);
  await recorder.record(EVENT);
  await recorder.close({ drainMs: 0 });
  setSink({
    publish: () => {},
    trace: (_origin, _commands, _is, run) => run(),
  });
  assertEquals(changes, [
    ["restored", 2, 2],
    ["queued", 1, 3],
    ["left", 2, 0],
    ["left", 1, 0],
  ]);
});
