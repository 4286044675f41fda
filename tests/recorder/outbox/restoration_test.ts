// What earlier processes have left in a store: loaded as there is room, checked, and sent with its members and scores.
import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertLessOrEqual,
  assertMatch,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type Command,
  type OutboxStore,
  Redis,
  type Sender,
  type StoredEvent,
  WebhookRecorder,
} from "../../../mod.ts";
import type { OutboxError } from "../../../recorder/outbox/outbox_store.ts";
import { startRedis } from "../../support/redis_server.ts";
import { until } from "../../support/wait.ts";
import { cardinality, EVENT, KEY, NOWHERE, ttl } from "../doubles.ts";
import { MapStore, storedEvent, storeWith } from "../map_store.ts";

/** A client that keeps what is sent: away, or there. */
class Keeping implements Sender {
  readonly origin = NOWHERE.origin;
  isClosed = false;
  isAway = false;
  readonly sent: string[] = [];

  send(command: Command): Promise<unknown> {
    if (this.isAway) return Promise.reject(new Error("gone"));
    for (let i = 2; i < command.length; i += 2) {
      this.sent.push(`${command[i]} ${command[i + 1]}`);
    }
    return Promise.resolve(1);
  }

  pipeline(commands: readonly Command[]): Promise<unknown[]> {
    return Promise.all(commands.map((command) => this.send(command)));
  }
}

const numbered = (count: number): StoredEvent[] =>
  Array.from({ length: count }, (_, n) => storedEvent(n));

const asSent = ({ score, members }: StoredEvent): string[] =>
  members.map((member) => `${score} ${member}`);

Deno.test("What an earlier process has left is sent oldest first, with its members and scores, and removed", async () => {
  const left = numbered(3000);
  const store = storeWith(left);
  const sender = new Keeping();
  await using recorder = new WebhookRecorder(sender, { outbox: store });
  store.gate = (method) => delay(method === "remove" ? 20 : 0);
  await recorder.flush();
  assertEquals(sender.sent, left.flatMap(asSent));
  assertEquals(store.entries.size, 0);
  const { restored, sent, recorded, queued, pending } = recorder.stats();
  assertEquals([restored, sent, recorded, queued, pending], [
    3000,
    3000,
    3000,
    0,
    0,
  ]);
});

Deno.test("What was left is in the set as it was, trimmed like the rest, and none of it twice", async () => {
  await using server = await startRedis({ durable: true });
  await using redis = new Redis(server.url);
  const now = Math.floor(Date.now() / 1000);
  const left = [
    storedEvent(1, { score: now - 5 }),
    storedEvent(2, { score: now - 4, members: ["a", "b", "c"] }),
    storedEvent(3, {
      score: now - 3,
      event: { ...EVENT, deliveryId: "d" },
    }),
    storedEvent(4, { score: now - 500 }),
  ];
  const store = storeWith(left);
  const pairs = async () =>
    await redis.send(["ZRANGE", KEY, 0, -1, "WITHSCORES"]) as string[];
  for (let round = 0; round < 2; round++) {
    for (const entry of left) store.entries.set(entry.id, entry); // as if not removed
    await using recorder = new WebhookRecorder(redis, {
      outbox: store,
      retentionSeconds: 100,
    });
    await recorder.flush();
    assertEquals(
      await pairs(),
      left.slice(0, 3).flatMap(({ members, score }) =>
        members.flatMap((member) => [member, `${score}`])
      ),
    );
    assertGreater(await ttl(server), 0);
  }
  assertEquals(store.entries.size, 0);
});

Deno.test("A large store is loaded as there is room, and leaves room for new events", async () => {
  const total = 3000;
  const store = storeWith(numbered(total));
  const sender = new Keeping();
  sender.isAway = true;
  const recorder = new WebhookRecorder(sender, {
    outbox: store,
    outboxCapacity: 100,
  });
  await until(() => recorder.pending === 50);
  await delay(20);
  assertEquals([recorder.pending, store.read], [50, 50]);
  for (let i = 0; i < 50; i++) {
    assertEquals((await recorder.record(EVENT)).status, "queued");
  }
  assertEquals((await recorder.record(EVENT)).status, "dropped"); // there is no room
  let most = 0;
  const send = sender.send.bind(sender);
  sender.send = (command) => {
    most = Math.max(most, recorder.pending);
    return send(command);
  };
  sender.isAway = false;
  await recorder.flush();
  assertLessOrEqual(most, 100);
  assertEquals(sender.sent.length, total + 50);
  await recorder.close();
  assertEquals(store.entries.size, 0);
});

Deno.test("Without any capacity what was left is sent nevertheless", async () => {
  const store = storeWith(numbered(20));
  const sender = new Keeping();
  await using recorder = new WebhookRecorder(sender, {
    outbox: store,
    outboxCapacity: 0,
  });
  await recorder.flush();
  assertEquals(sender.sent.length, 20);
});

Deno.test("A store of 300,000 events is sent without being held in memory", {
  timeout: 60_000,
}, async () => {
  const total = 300_000;
  const removed = { count: 0 };
  const store: OutboxStore = {
    load: () =>
      Promise.resolve((function* () {
        for (let n = 0; n < total; n++) yield storedEvent(n);
      })()),
    append: () => Promise.resolve(),
    remove: (ids) => {
      removed.count += ids.length;
      return Promise.resolve();
    },
  };
  let members = 0;
  let heap = 0;
  const sender = new Keeping();
  sender.send = (command) => {
    members += (command.length - 2) / 2;
    if (members % 5_000 === 0) {
      heap = Math.max(heap, Deno.memoryUsage().heapUsed);
    }
    return Promise.resolve(1);
  };
  const before = Deno.memoryUsage().heapUsed;
  const startedAt = performance.now();
  await using recorder = new WebhookRecorder(sender, { outbox: store });
  await recorder.flush();
  console.log(
    `${Math.round(total / (performance.now() - startedAt))} events a ms, ` +
      `${Math.round((heap - before) / 2 ** 20)} MiB`,
  );
  assertEquals(members, total);
  assertEquals(removed.count, total);
  assertLess(heap - before, 150 * 2 ** 20);
});

Deno.test("flush waits for what was left; close does not load the rest", async () => {
  const store = storeWith(numbered(500));
  const sender = new Keeping();
  sender.isAway = true;
  const recorder = new WebhookRecorder(sender, {
    outbox: store,
    outboxCapacity: 100,
  });
  await until(() => recorder.pending === 50);
  let isFlushed = false;
  const flushing = recorder.flush().then(() => isFlushed = true);
  await delay(20);
  assertEquals(isFlushed, false);
  sender.isAway = false;
  await flushing;
  assertEquals(sender.sent.length, 500);
  await recorder.close();

  const again = storeWith(numbered(500));
  sender.isAway = true;
  const next = new WebhookRecorder(sender, {
    outbox: again,
    outboxCapacity: 100,
  });
  await until(() => next.pending === 50);
  await next.close({ drainMs: 0 });
  const { left, dropped, restored, pending } = next.stats();
  assertEquals([left, dropped, restored, pending], [50, 0, 50, 0]);
  assertEquals(again.entries.size, 500);
  assertEquals([again.read, again.left], [50, 1]); // its reader was told
});

Deno.test("What is no stored event stays in the store, is not sent, and is reported once", async () => {
  const good = storedEvent(1);
  const { key: _, ...withoutKey } = storedEvent(2);
  const foreign: unknown[] = [
    null,
    "text",
    7,
    [],
    {},
    withoutKey,
    { ...good, id: "UPPER" },
    { ...good, id: "" },
    { ...good, id: "a".repeat(41) },
    { ...good, id: 5 },
    { ...good, key: 1 },
    { ...good, score: "1" },
    { ...good, score: NaN },
    { ...good, members: "a" },
    { ...good, members: [] },
    { ...good, members: [1] },
    { ...good, members: ["a", undefined] },
    { ...good, members: Array.from({ length: 10_001 }, String) },
    { ...good, event: undefined },
    { ...good, event: { ...EVENT, shopNo: -1 } },
    { ...good, event: { ...EVENT, other: 1 } },
    new Proxy({}, {
      get: (_, name) => {
        if (name !== "then") throw new Error("trap");
      },
    }),
  ];
  const store = new MapStore();
  foreign.forEach((entry, i) => store.entries.set(`foreign ${i}`, entry));
  store.entries.set(good.id, good);
  const errors: OutboxError[] = [];
  const sender = new Keeping();
  const recorder = new WebhookRecorder(sender, {
    outbox: store,
    onOutboxError: (error) => errors.push(error),
  });
  await recorder.flush();
  assertEquals(sender.sent, asSent(good));
  assertEquals(errors.length, 1);
  assertEquals(errors[0]!.operation, "load");
  assertMatch(
    errors[0]!.message,
    /^22 entries of the store are not queued events: they are left there and not sent; the first one: an entry is null, expected an object$/,
  );
  assertEquals(recorder.stats().lastOutboxError, errors[0]);
  await recorder.close();
  assertEquals(store.entries.size, foreign.length);
});

Deno.test("The fault of an entry names it, and what is wrong with it", async () => {
  const { faultIn } = await import("../../../recorder/outbox/stored_event.ts");
  const good = storedEvent(1);
  assertEquals(faultIn(good), undefined);
  assertEquals(
    faultIn({ ...good, score: "1" }),
    `score of entry ${good.id} is "1", not a number`,
  );
  assertEquals(
    faultIn({ ...good, event: { ...EVENT, shopNo: -1 } }),
    "event of entry 0000earlier-00000001: shopNo is -1, expected a whole number of 0 or more",
  );
});

Deno.test("A store that cannot be loaded is tried again by backoff, at once by flush, and reported once", async () => {
  const store = storeWith(numbered(10));
  store.failures.set("load", new Error("locked"));
  const errors: OutboxError[] = [];
  const sender = new Keeping();
  const recorder = new WebhookRecorder(sender, {
    outbox: store,
    onOutboxError: (error) => errors.push(error),
  });
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  await delay(1000);
  // After 100, 300 and 700 ms, give or take a fifth.
  assertGreater(store.countOf("load"), 2);
  assertLess(store.countOf("load"), 6);
  assertEquals(errors.map(({ message }) => message), [
    "Cannot load what earlier processes have left in the store, trying again: locked",
  ]);
  assertEquals(recorder.stats().lastOutboxError?.cause, errors[0]!.cause);
  store.failures.clear();
  const startedAt = performance.now();
  await recorder.flush();
  assertLess(performance.now() - startedAt, 100);
  assertEquals(sender.sent.length, 11);
  assertEquals(recorder.stats().lastOutboxError, undefined);
  await recorder.close();
});

Deno.test("A store that fails while it is read is read again, and what is held already is not taken twice", async () => {
  const left = numbered(10);
  const store = storeWith(left);
  let reads = 0;
  store.load = () =>
    Promise.resolve((async function* () {
      const fails = reads++ < 2;
      for (const [i, entry] of left.entries()) {
        if (fails && i === 5) throw new Error("bad sector");
        yield entry;
      }
    })());
  const sender = new Keeping();
  sender.isAway = true;
  const recorder = new WebhookRecorder(sender, {
    outbox: store,
    onOutboxError: () => {},
  });
  await until(() => reads === 3);
  await until(() => recorder.pending === 10);
  assertEquals(recorder.stats().restored, 10);
  sender.isAway = false;
  await recorder.flush();
  assertEquals(sender.sent, left.flatMap(asSent));
  await recorder.close();
});

Deno.test("What is read may come by promises of another implementation", async () => {
  const left = numbered(3);
  const store = storeWith(left);
  store.load = () => {
    const values = left.values();
    const next = () => {
      const step = Promise.resolve(values.next());
      return { then: step.then.bind(step) } as typeof step;
    };
    return Promise.resolve({ [Symbol.asyncIterator]: () => ({ next }) });
  };
  const sender = new Keeping();
  await using recorder = new WebhookRecorder(sender, { outbox: store });
  await recorder.flush();
  assertEquals(sender.sent, left.flatMap(asSent));
});

Deno.test("load may give an array, a set or a generator, and nothing else", async () => {
  const entries = numbered(3);
  for (
    const given of [entries, new Set(entries), entries.values(), undefined, 5]
  ) {
    const errors: OutboxError[] = [];
    const sender = new Keeping();
    const recorder = new WebhookRecorder(sender, {
      outbox: Object.assign(new MapStore(), {
        load: () => Promise.resolve(given),
      }),
      onOutboxError: (error) => errors.push(error),
    });
    if (typeof given === "object") {
      await recorder.flush();
      assertEquals(sender.sent.length, 3);
    } else {
      await until(() => errors.length === 1);
      assertMatch(errors[0]!.message, /not iterable$/);
    }
    await recorder.close();
  }
});

Deno.test("Without onOutboxError trouble of the store goes to the console", async () => {
  const store = new MapStore();
  store.failures.set("load", new Error("locked"));
  const printed: unknown[] = [];
  const { error } = console;
  console.error = (...what) => printed.push(...what);
  try {
    const recorder = new WebhookRecorder(new Keeping(), { outbox: store });
    await until(() => printed.length === 1);
    await recorder.close();
  } finally {
    console.error = error;
  }
  assertMatch(String(printed[0]), /^OutboxError: .*: locked$/);
});

Deno.test("A recorder does not load its own events", async () => {
  const gate = Promise.withResolvers<void>();
  const store = new MapStore();
  store.gate = (method) => method === "load" ? gate.promise : Promise.resolve();
  const sender = new Keeping();
  sender.isAway = true;
  const recorder = new WebhookRecorder(sender, { outbox: store });
  for (let i = 0; i < 3; i++) await recorder.record(EVENT);
  assertEquals(store.entries.size, 3);
  gate.resolve();
  await delay(20);
  const { pending, restored, stored } = recorder.stats();
  assertEquals([pending, restored, stored], [3, 0, 3]);
  await recorder.close({ drainMs: 0 });
});

Deno.test("Two recorders on one store send what the other has left, and no event counts twice", async () => {
  await using server = await startRedis({ durable: true });
  await using redis = new Redis(server.url, { retry: false });
  const store = storeWith(numbered(100));
  await server.stop();
  const recorders = [0, 1].map(() =>
    new WebhookRecorder(redis, { outbox: store })
  );
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, (_, i) => recorders[i % 2]!.record(EVENT)),
  );
  assert(outcomes.every(({ status }) => status === "queued"));
  assertEquals(store.entries.size, 200);
  await server.start();
  await Promise.all(recorders.map((recorder) => recorder.flush()));
  assertEquals(await cardinality(server), 200);
  await Promise.all(recorders.map((recorder) => recorder.close()));
  assertEquals(store.entries.size, 0);
});

Deno.test("Once the client is closed nothing more is loaded, and flush ends", async () => {
  const store = storeWith(numbered(1000));
  const sender = new Keeping();
  sender.isAway = true;
  const recorder = new WebhookRecorder(sender, {
    outbox: store,
    outboxCapacity: 100,
  });
  await until(() => recorder.pending === 50);
  sender.isClosed = true;
  await recorder.flush();
  const { left, pending } = recorder.stats();
  assertEquals([left, pending, store.read, store.entries.size], [
    50,
    0,
    50,
    1000,
  ]);
  await recorder.close();
});
