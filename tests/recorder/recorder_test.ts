// That events end in Redis once, or their caller knows better.
import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { validate as isUuidV4 } from "@std/uuid/v4";
import { validate as isUuidV5 } from "@std/uuid/v5";
import {
  ConnectionClosedError,
  type Dial,
  DialError,
  fateOf,
  type RecorderOptions,
  type RecordErrorInfo,
  type RecordOutcome,
  Redis,
  type RedisOptions,
  ReplyError,
  Retry,
  type WebhookEvent,
  WebhookRecorder,
} from "../../mod.ts";
import { dial } from "../../pool/socket/dial.ts";
import { startProxy } from "../support/fault_proxy.ts";
import {
  type RedisServer,
  type RedisServerOptions,
  startRedis,
} from "../support/redis_server.ts";

const EVENT = { mallId: "mall", shopNo: 7, eventType: "orders/create" };
const KEY = "webhook_frequency_mall_7_orders/create";
const NOON = 1_700_000_000;

/** An event of another shop. */
const ofShop = (shopNo: number): WebhookEvent => ({ ...EVENT, shopNo });
const keyOfShop = (shopNo: number): string =>
  `webhook_frequency_mall_${shopNo}_orders/create`;

/** A server, a client that makes one attempt a call, and what onError was told. */
class Setup implements AsyncDisposable {
  readonly server: RedisServer;
  readonly redis: Redis;
  readonly told: { error: unknown; info: RecordErrorInfo }[] = [];

  constructor(server: RedisServer, redis: Redis) {
    this.server = server;
    this.redis = redis;
  }

  static async up(
    options: RedisServerOptions = {},
    redisOptions: RedisOptions = { retry: false },
  ): Promise<Setup> {
    const server = await startRedis(options);
    return new Setup(server, new Redis(server.url, redisOptions));
  }

  recorder(options: RecorderOptions = {}): WebhookRecorder {
    return new WebhookRecorder(this.redis, {
      onError: (error, info) => this.told.push({ error, info }),
      ...options,
    });
  }

  /** Members and their scores, in the order of the set. */
  async entries(key = KEY): Promise<[member: string, score: number][]> {
    const text = await this.server.cli("ZRANGE", key, 0, -1, "WITHSCORES");
    const words = text === "" ? [] : text.split("\n");
    return Array.from(
      { length: words.length / 2 },
      (_, i) => [words[2 * i]!, Number(words[2 * i + 1])],
    );
  }

  async cardinality(key = KEY): Promise<number> {
    return Number(await this.server.cli("ZCARD", key));
  }

  /** How often the server ran a command. */
  async callsOf(command: string): Promise<number> {
    const info = await this.server.cli("INFO", "commandstats");
    const line = new RegExp(`^cmdstat_${command}:calls=(\\d+)`, "m").exec(info);
    return Number(line?.[1] ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.redis.close({ drainMs: 0 });
    await this.server[Symbol.asyncDispose]();
  }
}

/** Dials, and keeps a copy of every write. */
function listeningDial(writes: string[]): Dial {
  return async (endpoint, options) => {
    const socket = await dial(endpoint, options);
    const decoder = new TextDecoder("latin1");
    return {
      read: (buffer) => socket.read(buffer),
      write: (bytes) => {
        writes.push(decoder.decode(bytes));
        return socket.write(bytes);
      },
      close: () => socket.close(),
      unref: () => socket.unref?.(),
    };
  };
}

// What is written

Deno.test("An event is one member: a UUID v4 with the whole second as its score", async () => {
  await using setup = await Setup.up();
  await using recorder = setup.recorder({ now: () => NOON * 1000 + 999 });
  assertEquals(await recorder.record(EVENT), { status: "recorded", count: 1 });
  const [[member, score], ...others] = await setup.entries() as [
    [string, number],
  ];
  assert(isUuidV4(member), member);
  assertEquals(score, NOON);
  assertEquals(others, []);
  assertEquals(await setup.server.cli("KEYS", "*"), KEY);
  assertEquals(await setup.server.cli("TTL", KEY), "-1");
  assertEquals(setup.told, []);
});

Deno.test("Without an injected clock the score is the time of the call", async () => {
  await using setup = await Setup.up();
  await using recorder = setup.recorder();
  const before = Math.floor(Date.now() / 1000);
  await recorder.record(EVENT);
  const [[, score]] = await setup.entries() as [[string, number]];
  assert(before <= score && score <= Math.floor(Date.now() / 1000));
});

Deno.test("A count of n writes n members of the same second in one ZADD", async () => {
  await using setup = await Setup.up();
  await using recorder = setup.recorder({ now: () => NOON * 1000 });
  const outcome = await recorder.record(EVENT, 2500);
  assertEquals(outcome, { status: "recorded", count: 2500 });
  const entries = await setup.entries();
  assertEquals(entries.length, 2500);
  assert(
    entries.every(([member, score]) => isUuidV4(member) && score === NOON),
  );
  assertEquals(await setup.callsOf("zadd"), 1);
});

Deno.test("keyOf and newMember decide key and member", async () => {
  await using setup = await Setup.up();
  await using recorder = setup.recorder({
    keyOf: ({ mallId, shopNo }) => `mine:${mallId}:${shopNo}`,
    newMember: () => "a member",
    now: () => NOON * 1000,
  });
  await recorder.record(EVENT);
  assertEquals(await setup.entries("mine:mall:7"), [["a member", NOON]]);
  assertEquals(await recorder.frequency(EVENT, { windowSeconds: 1 }), 1);
});

Deno.test("A delivery id makes UUIDs v5, so a webhook delivered again counts once", async () => {
  await using setup = await Setup.up();
  await using recorder = setup.recorder();
  await using elsewhere = setup.recorder();
  const first = { ...EVENT, deliveryId: "delivery-1" };
  assertEquals((await recorder.record(first)).status, "recorded");
  assertEquals((await elsewhere.record(first)).status, "recorded");
  assertEquals(await setup.cardinality(), 1);
  await recorder.record({ ...EVENT, deliveryId: "delivery-2" }, 3);
  await recorder.record({ ...EVENT, deliveryId: "delivery-2" }, 3);
  const entries = await setup.entries();
  assertEquals(entries.length, 4);
  assert(entries.every(([member]) => isUuidV5(member)));
});

Deno.test("A delivery id means nothing to another shop", async () => {
  await using setup = await Setup.up();
  await using recorder = setup.recorder();
  await Promise.all(
    [1, 2].map((shopNo) =>
      recorder.record({ ...ofShop(shopNo), deliveryId: "same" })
    ),
  );
  assertEquals(await setup.cardinality(keyOfShop(1)), 1);
  assertEquals(await setup.cardinality(keyOfShop(2)), 1);
});

Deno.test("Events of one shop in one turn share a ZADD, and each caller has its own outcome", async () => {
  await using setup = await Setup.up();
  await using recorder = setup.recorder();
  const outcomes = await Promise.all([
    ...Array.from({ length: 10 }, (_, i) => recorder.record(EVENT, i + 1)),
    recorder.record(ofShop(8)),
  ]);
  assertEquals(
    outcomes.map(({ status, count }) => `${status} ${count}`),
    [
      ...Array.from({ length: 10 }, (_, i) => `recorded ${i + 1}`),
      "recorded 1",
    ],
  );
  assertEquals(await setup.callsOf("zadd"), 2);
  assertEquals(await setup.cardinality(), 55);
  assertEquals(await setup.cardinality(keyOfShop(8)), 1);
});

// Frequency and retention

Deno.test("frequency counts the seconds of its window, the oldest one excluded", async () => {
  await using setup = await Setup.up();
  let seconds = NOON;
  await using recorder = setup.recorder({ now: () => seconds * 1000 + 500 });
  await recorder.record(EVENT, 2);
  const after = (later: number, windowSeconds: number) => {
    seconds = NOON + later;
    return recorder.frequency(EVENT, { windowSeconds });
  };
  assertEquals(await after(0, 1), 2);
  assertEquals(await after(1, 1), 0);
  assertEquals(await after(9, 10), 2);
  assertEquals(await after(10, 10), 0);
  assertEquals(await recorder.frequency(ofShop(8), { windowSeconds: 10 }), 0);
});

Deno.test("retentionSeconds trims older members and lets the set expire", async () => {
  await using setup = await Setup.up();
  let seconds = NOON;
  await using recorder = setup.recorder({
    retentionSeconds: 10,
    now: () => seconds * 1000,
  });
  await recorder.record(EVENT);
  seconds = NOON + 10;
  await recorder.record(EVENT);
  await recorder.flush();
  assertEquals(await setup.cardinality(), 2);
  assertEquals(await recorder.frequency(EVENT, { windowSeconds: 11 }), 2);
  seconds = NOON + 11;
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  await recorder.flush();
  assertEquals(
    (await setup.entries()).map(([, score]) => score),
    [NOON + 10, NOON + 11],
  );
  const ttl = Number(await setup.server.cli("TTL", KEY));
  assert(ttl === 9 || ttl === 10, `${ttl}`);
  assertEquals(setup.told, []);
});

Deno.test("Sets that cannot be trimmed are reported once, and their events are recorded", async () => {
  await using setup = await Setup.up();
  const { server } = setup;
  await server.cli("ACL", "SETUSER", "default", "-zremrangebyscore");
  await using recorder = setup.recorder({ retentionSeconds: 10 });
  for (let i = 0; i < 3; i++) {
    assertEquals((await recorder.record(EVENT)).status, "recorded");
    await recorder.flush();
  }
  assertEquals(
    setup.told.map((
      { error, info },
    ) => [(error as ReplyError).code, info.status]),
    [["NOPERM", "recorded"]],
  );
  assertEquals(recorder.pending, 0);
  await server.cli("ACL", "SETUSER", "default", "+zremrangebyscore");
  await recorder.record(EVENT);
  await recorder.flush();
  await server.cli("ACL", "SETUSER", "default", "-zremrangebyscore");
  await recorder.record(EVENT);
  await recorder.flush();
  assertEquals(setup.told.length, 2);
});

// While Redis is away

Deno.test("While Redis is away an event is queued, and onError knows which", async () => {
  await using setup = await Setup.up({ durable: true });
  await using recorder = setup.recorder({ now: () => NOON * 1000 });
  await setup.server.stop();
  const { status, count, error } = await recorder.record(EVENT, 2);
  assertEquals({ status, count }, { status: "queued", count: 2 });
  assertInstanceOf(error, DialError);
  assertEquals(recorder.pending, 2);
  assertEquals(setup.told, [{
    error,
    info: {
      status: "queued",
      context: { ...EVENT, score: NOON, count: 2, status: "queued" },
      tags: { category: "webhook_blacklist" },
    },
  }]);
  await setup.server.start();
  await recorder.flush();
  assertEquals(recorder.pending, 0);
  assertEquals(await setup.cardinality(), 2);
  assertEquals(setup.told.length, 1);
});

Deno.test("Queued events are sent in order, with their scores, and none twice", async () => {
  const writes: string[] = [];
  await using setup = await Setup.up({ durable: true }, {
    dial: listeningDial(writes),
    retry: false,
  });
  let seconds = NOON;
  let members = 0;
  await using recorder = setup.recorder({
    now: () => seconds++ * 1000,
    newMember: () => `member ${++members}`,
  });
  for (let i = 1; i <= 3; i++) await recorder.record(EVENT);
  await setup.server.stop();
  for (let i = 4; i <= 8; i++) {
    const { status } = await recorder.record(i % 2 === 0 ? EVENT : ofShop(9));
    assertEquals(status, "queued");
  }
  assertEquals(recorder.pending, 5);
  await delay(300);
  writes.length = 0;
  await setup.server.start();
  await recorder.flush();
  await recorder.record(EVENT);
  assertEquals(await setup.entries(), [
    ["member 1", NOON],
    ["member 2", NOON + 1],
    ["member 3", NOON + 2],
    ["member 4", NOON + 3],
    ["member 6", NOON + 5],
    ["member 8", NOON + 7],
    ["member 9", NOON + 8],
  ]);
  assertEquals(await setup.entries(keyOfShop(9)), [
    ["member 5", NOON + 4],
    ["member 7", NOON + 6],
  ]);
  const sent = writes.join("").match(/member \d/g)!;
  assertEquals(sent.filter((m) => "468".includes(m.at(-1)!)), [
    "member 4",
    "member 6",
    "member 8",
  ]);
  assertEquals(sent.length, 6);
});

Deno.test("Thousands of queued events are all delivered, each once", async () => {
  await using setup = await Setup.up({ durable: true });
  await using recorder = setup.recorder();
  await setup.server.stop();
  await recorder.record(EVENT);
  const outcomes = await Promise.all(
    Array.from({ length: 4999 }, (_, i) => recorder.record(ofShop(i % 10))),
  );
  assert(outcomes.every(({ status }) => status === "queued"));
  assertEquals(recorder.pending, 5000);
  await setup.server.start();
  await recorder.flush();
  assertEquals(recorder.pending, 0);
  let total = 0;
  for (let shopNo = 0; shopNo < 10; shopNo++) {
    total += await setup.cardinality(keyOfShop(shopNo));
  }
  assertEquals(total, 5000);
});

Deno.test("A webhook delivered again while the first is queued counts once", async () => {
  await using setup = await Setup.up({ durable: true });
  await using recorder = setup.recorder();
  const event = { ...EVENT, deliveryId: "delivery-1" };
  await setup.server.stop();
  assertEquals((await recorder.record(event)).status, "queued");
  assertEquals((await recorder.record(event)).status, "queued");
  await setup.server.start();
  await recorder.flush();
  await recorder.record(event);
  assertEquals(await setup.cardinality(), 1);
});

Deno.test("A full outbox drops what it has no room for, and takes events again later", async () => {
  await using setup = await Setup.up({ durable: true });
  await using recorder = setup.recorder({ outboxCapacity: 3 });
  await setup.server.stop();
  assertEquals((await recorder.record(EVENT, 2)).status, "queued");
  const dropped = await recorder.record(EVENT, 2);
  assertEquals(dropped.status, "dropped");
  assertEquals(dropped.count, 2);
  assertInstanceOf(dropped.error, Error);
  assertEquals((await recorder.record(EVENT)).status, "queued");
  assertEquals((await recorder.record(EVENT)).status, "dropped");
  assertEquals(recorder.pending, 3);
  assertEquals(setup.told.length, 4);
  await setup.server.start();
  await recorder.flush();
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  assertEquals(await setup.cardinality(), 4);
});

Deno.test("Without an outbox an event that cannot be written is dropped", async () => {
  await using setup = await Setup.up();
  await using recorder = setup.recorder({ outboxCapacity: 0 });
  await setup.server.stop();
  assertEquals((await recorder.record(EVENT)).status, "dropped");
  assertEquals(recorder.pending, 0);
});

Deno.test("Who comes while others are queued does not wait for the dead server", async () => {
  await using setup = await Setup.up({}, {
    replyTimeoutMs: 400,
    connectTimeoutMs: 400,
    retry: false,
  });
  await using recorder = setup.recorder();
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  setup.server.freeze();
  assertEquals((await recorder.record(EVENT)).status, "queued");
  const startedAt = performance.now();
  for (let i = 0; i < 10; i++) {
    assertEquals((await recorder.record(EVENT)).status, "queued");
  }
  assertLess(performance.now() - startedAt, 300);
  setup.server.thaw();
  await recorder.flush();
  assertEquals(await setup.cardinality(), 12);
});

Deno.test("Once Redis is back events are recorded at once again, without a pause in their stream", async () => {
  await using setup = await Setup.up({ durable: true });
  await using recorder = setup.recorder();
  await setup.server.stop();
  await recorder.record(EVENT);
  await setup.server.start();
  const outcomes: Promise<RecordOutcome>[] = [];
  const startedAt = performance.now();
  while (performance.now() - startedAt < 1200) {
    await delay(1);
    outcomes.push(recorder.record(EVENT));
  }
  const statuses = (await Promise.all(outcomes)).map(({ status }) => status);
  await recorder.flush();
  assertEquals(await setup.cardinality(), outcomes.length + 1);
  const latest = statuses.slice(-50);
  assertEquals(latest, latest.map(() => "recorded"));
});

Deno.test("A key of the wrong type costs its own event and no other", async () => {
  await using setup = await Setup.up({ durable: true });
  await using recorder = setup.recorder();
  await setup.server.cli("SET", KEY, "not a set");
  const [wrong, right] = await Promise.all([
    recorder.record(EVENT),
    recorder.record(ofShop(8)),
  ]);
  assertEquals(wrong.status, "dropped");
  assertInstanceOf(wrong.error, ReplyError);
  assertEquals(wrong.error.code, "WRONGTYPE");
  assertEquals(right, { status: "recorded", count: 1 });
  assertEquals(setup.told.map(({ info }) => info.context.shopNo), [7]);
});

Deno.test("A key of the wrong type does not hold up what is queued behind it", async () => {
  await using setup = await Setup.up({ durable: true });
  await using recorder = setup.recorder();
  await setup.server.cli("SET", KEY, "not a set");
  await setup.server.stop();
  for (const event of [ofShop(6), EVENT, ofShop(8)]) {
    assertEquals((await recorder.record(event)).status, "queued");
  }
  await setup.server.start();
  await recorder.flush();
  assertEquals(recorder.pending, 0);
  assertEquals(await setup.cardinality(keyOfShop(6)), 1);
  assertEquals(await setup.cardinality(keyOfShop(8)), 1);
  const lost = setup.told.slice(3);
  assertEquals(lost.map(({ info }) => info.context.shopNo), [7]);
  assertEquals((lost[0]!.error as ReplyError).code, "WRONGTYPE");
});

Deno.test("An event that can never be written does not hold up what is queued behind it", async () => {
  await using setup = await Setup.up({ durable: true });
  let now = NaN;
  await using recorder = setup.recorder({ now: () => now });
  await setup.server.stop();
  await recorder.record(EVENT);
  now = NOON * 1000;
  assertEquals((await recorder.record(ofShop(8))).status, "queued");
  await setup.server.start();
  await recorder.flush({ signal: AbortSignal.timeout(1000) }).catch(() => {});
  assertEquals(await setup.cardinality(keyOfShop(8)), 1);
  assertEquals(recorder.pending, 0);
});

Deno.test("A server out of memory has its events queued, and delivered when it has room", async () => {
  await using setup = await Setup.up();
  await using recorder = setup.recorder();
  await setup.server.cli("CONFIG", "SET", "maxmemory", 1);
  const { status, error } = await recorder.record(EVENT);
  assertEquals(status, "queued");
  assertEquals((error as ReplyError).code, "OOM");
  await delay(200);
  assertEquals(recorder.pending, 1);
  await setup.server.cli("CONFIG", "SET", "maxmemory", 0);
  await recorder.flush();
  assertEquals(await setup.cardinality(), 1);
});

Deno.test("A reply lost on its way costs nothing: the event is sent again and counts once", async () => {
  await using setup = await Setup.up();
  await using proxy = await startProxy({ target: setup.server });
  for (const by of ["fin", "rst"] as const) {
    await using redis = new Redis(proxy.url);
    await using recorder = new WebhookRecorder(redis);
    await redis.send(["PING"]);
    await setup.server.cli("FLUSHALL");
    await setup.server.cli("CONFIG", "RESETSTAT");
    proxy.cut(0, { by, scope: "open" });
    assertEquals(await recorder.record(EVENT, 3), {
      status: "recorded",
      count: 3,
    });
    assertEquals(await setup.callsOf("zadd"), 2);
    assertEquals(await setup.cardinality(), 3);
    assertEquals(redis.stats().replays, 1);
  }
});

Deno.test("A reply that never comes has its event queued, and counted once when it is sent again", async () => {
  await using setup = await Setup.up();
  await using proxy = await startProxy({ target: setup.server });
  await using redis = new Redis(proxy.url, { retry: false });
  await using recorder = setup.recorder();
  await using cutOff = new WebhookRecorder(redis);
  await redis.send(["PING"]);
  proxy.cut(0, { scope: "open" });
  const { status, error } = await cutOff.record(EVENT);
  assertEquals(status, "queued");
  assertInstanceOf(error, ConnectionClosedError);
  assertEquals(error.fate, "unknown");
  await cutOff.flush();
  assertEquals(await setup.cardinality(), 1);
  assertEquals(await setup.callsOf("zadd"), 2);
  assertEquals((await recorder.record(EVENT)).status, "recorded");
});

// Flush and end

Deno.test("flush waits for events on their way, and for nothing if there are none", async () => {
  await using setup = await Setup.up();
  await using recorder = setup.recorder();
  await recorder.flush();
  const recorded = [
    recorder.record(EVENT),
    recorder.record({ ...EVENT, deliveryId: "delivery-1" }),
  ];
  await recorder.flush();
  assertEquals(await setup.cardinality(), 2);
  await Promise.all(recorded);
});

Deno.test("A signal ends the wait of flush, not the trying", async () => {
  await using setup = await Setup.up({ durable: true });
  await using recorder = setup.recorder();
  await setup.server.stop();
  await recorder.record(EVENT);
  const startedAt = performance.now();
  const error = await assertRejects(
    () => recorder.flush({ signal: AbortSignal.timeout(50) }),
    DOMException,
  );
  assertEquals(error.name, "TimeoutError");
  assertLess(performance.now() - startedAt, 1000);
  const reason = new Error("no time");
  assertEquals(
    await recorder.flush({ signal: AbortSignal.abort(reason) }).catch((e) => e),
    reason,
  );
  assertEquals(recorder.pending, 1);
  await setup.server.start();
  while (recorder.pending > 0) await delay(10);
  assertEquals(await setup.cardinality(), 1);
});

Deno.test("Disposing of a recorder delivers what is queued", async () => {
  await using setup = await Setup.up({ durable: true });
  const recorder = setup.recorder();
  await setup.server.stop();
  await recorder.record(EVENT);
  const [onItsWay] = await Promise.all([
    recorder.record(ofShop(8)),
    recorder[Symbol.asyncDispose](),
    setup.server.start(),
  ]);
  assertEquals(onItsWay.status, "queued");
  assertEquals(recorder.pending, 0);
  assertEquals(await setup.cardinality(), 1);
  assertEquals(await setup.cardinality(keyOfShop(8)), 1);
  await assertRejects(() => recorder.record(EVENT), TypeError, "closed");
});

Deno.test("Disposing of a recorder while Redis is away takes 5 s and reports each event as lost", async () => {
  await using setup = await Setup.up();
  const recorder = setup.recorder();
  await setup.server.stop();
  for (const shopNo of [1, 2, 3]) {
    assertEquals((await recorder.record(ofShop(shopNo))).status, "queued");
  }
  setup.told.length = 0;
  const startedAt = performance.now();
  await recorder[Symbol.asyncDispose]();
  const elapsed = performance.now() - startedAt;
  assertGreater(elapsed, 4000);
  assertLess(elapsed, 7000);
  assertEquals(setup.told.map(({ info }) => info.context.shopNo), [1, 2, 3]);
  for (const { error, info } of setup.told) {
    assertInstanceOf(error, Error);
    assertMatch(error.message, /^3 events are lost: Cannot connect to/);
    assertInstanceOf(error.cause, DialError);
    assertEquals(fateOf(error), "unsent");
    assertEquals(info.status, "dropped");
  }
  assertEquals(recorder.stats().dropped, 3);
  assertEquals(recorder.pending, 0);
  await assertRejects(() => recorder.record(EVENT), TypeError, "closed");
});

Deno.test("Once its client is closed a recorder drops events at once, and those it held", async () => {
  await using setup = await Setup.up();
  const recorder = setup.recorder();
  await setup.server.stop();
  assertEquals((await recorder.record(EVENT)).status, "queued");
  await setup.redis.close();
  const { status, error } = await recorder.record(ofShop(8));
  assertEquals(status, "dropped");
  assertInstanceOf(error, Error);
  setup.told.length = 0;
  const startedAt = performance.now();
  await recorder[Symbol.asyncDispose]();
  assertLess(performance.now() - startedAt, 3000);
  assertEquals(recorder.pending, 0);
  assertEquals(setup.told.map(({ info }) => info.context.shopNo), [7]);
});

Deno.test("An onError that throws does no harm", async () => {
  await using setup = await Setup.up({ durable: true });
  await using recorder = setup.recorder({
    onError: () => {
      throw new Error("the error tracker is away, too");
    },
  });
  const printed: unknown[][] = [];
  const { error: print } = console;
  console.error = (...words: unknown[]) => printed.push(words);
  try {
    await setup.server.stop();
    assertEquals((await recorder.record(EVENT)).status, "queued");
    await setup.server.start();
    await recorder.flush();
  } finally {
    console.error = print;
  }
  assertEquals(await setup.cardinality(), 1);
  assertEquals(printed.length, 1);
});

Deno.test("An onError that rejects later does no harm", async () => {
  await using setup = await Setup.up();
  await using recorder = setup.recorder({
    outboxCapacity: 0,
    onError: () => Promise.reject(new Error("the error tracker is away, too")),
  });
  const printed: unknown[][] = [];
  const { error: print } = console;
  console.error = (...words: unknown[]) => printed.push(words);
  try {
    await setup.server.stop();
    assertEquals((await recorder.record(EVENT)).status, "dropped");
    await delay(10);
  } finally {
    console.error = print;
  }
  assertEquals(printed.length, 1);
});

Deno.test("flush() waits for the events before it, not for those that keep coming", async () => {
  await using setup = await Setup.up();
  await using recorder = setup.recorder();
  let isOver = false;
  const traffic = (async () => {
    while (!isOver) {
      // There is always one under way.
      await Promise.all([recorder.record(EVENT), delay(0)]);
    }
  })();
  const another = (async () => {
    while (!isOver) await recorder.record(EVENT);
  })();
  await delay(20);
  await recorder.flush({ signal: AbortSignal.timeout(2000) });
  isOver = true;
  await Promise.all([traffic, another]);
});

Deno.test("An event that cannot be sent takes no other of its shop along", async () => {
  await using setup = await Setup.up();
  let made = 0;
  await using recorder = setup.recorder({
    newMember: () => made++ === 1 ? undefined as unknown as string : `${made}`,
  });
  const outcomes = await Promise.all(
    [1, 2, 3].map(() => recorder.record(EVENT)),
  );
  assertEquals(
    outcomes.map(({ status }) => status),
    ["recorded", "dropped", "recorded"],
  );
  assertEquals(await setup.cardinality(), 2);
});

Deno.test("flush() sees a delivery whose members are still being made", async () => {
  await using setup = await Setup.up();
  await using recorder = setup.recorder();
  const outcome = recorder.record({ ...EVENT, deliveryId: "d" });
  await recorder.flush();
  assertEquals(await setup.cardinality(), 1);
  assertEquals((await outcome).status, "recorded");
});

Deno.test("A delivery that counts twice shares no member with any other", async () => {
  await using setup = await Setup.up();
  await using recorder = setup.recorder();
  await recorder.record({ ...EVENT, deliveryId: "x" }, 2);
  await recorder.record({ ...EVENT, deliveryId: "x#1" });
  await recorder.record({ ...EVENT, deliveryId: "1" });
  assertEquals(await setup.cardinality(), 4);
  await recorder.record({ ...EVENT, deliveryId: "x" }, 2);
  assertEquals(await setup.cardinality(), 4);
});

Deno.test("With the retries of its client an event outlives a restart unqueued", async () => {
  await using setup = await Setup.up({ durable: true }, { retry: new Retry() });
  await using recorder = setup.recorder();
  await recorder.record(EVENT);
  await setup.server.stop();
  const [outcome] = await Promise.all([
    recorder.record(EVENT),
    setup.server.start(),
  ]);
  assertEquals(outcome, { status: "recorded", count: 1 });
  assertEquals(await setup.cardinality(), 2);
});

// Invalid arguments

/** Values of the wrong type, as JavaScript callers send them. */
function wrong<T>(value: unknown): T {
  return value as T;
}

Deno.test("Invalid arguments are refused by name, and nothing is sent", async () => {
  await using redis = new Redis("redis://127.0.0.1:1");
  await using recorder = new WebhookRecorder(redis, { outboxCapacity: 0 });
  const events: [name: string, event: unknown][] = [
    ["event", undefined],
    ["event", null],
    ["event", "orders/create"],
    ["mallId", { ...EVENT, mallId: "" }],
    ["mallId", { ...EVENT, mallId: 7 }],
    ["mallId", { shopNo: 7, eventType: "orders/create" }],
    ["shopNo", { ...EVENT, shopNo: -1 }],
    ["shopNo", { ...EVENT, shopNo: 1.5 }],
    ["shopNo", { ...EVENT, shopNo: NaN }],
    ["shopNo", { ...EVENT, shopNo: "7" }],
    ["shopNo", { ...EVENT, shopNo: 2 ** 53 }],
    ["eventType", { ...EVENT, eventType: "" }],
    ["eventType", { ...EVENT, eventType: null }],
    ["deliveryId", { ...EVENT, deliveryId: "" }],
    ["deliveryId", { ...EVENT, deliveryId: 7 }],
  ];
  for (const [name, event] of events) {
    const { message } = await assertRejects(
      () => recorder.record(wrong<WebhookEvent>(event)),
      TypeError,
    );
    assertStringIncludes(message, `${name} is `);
    await assertRejects(
      () =>
        recorder.frequency(wrong<WebhookEvent>(event), { windowSeconds: 1 }),
      TypeError,
      `${name} is `,
    );
  }
  for (const count of [0, -1, 1.5, NaN, 10_001, Infinity, "2", null]) {
    await assertRejects(
      () => recorder.record(EVENT, wrong<number>(count)),
      TypeError,
      "count is ",
    );
  }
  for (const windowSeconds of [0, -1, 1.5, NaN, "60", undefined]) {
    await assertRejects(
      () =>
        recorder.frequency(EVENT, {
          windowSeconds: wrong<number>(windowSeconds),
        }),
      TypeError,
      "windowSeconds is ",
    );
  }
  assertEquals(redis.stats().dialFailures, 0);
});

Deno.test("Invalid options are refused by name", async () => {
  await using redis = new Redis("redis://127.0.0.1:1");
  const recorder = new WebhookRecorder(redis);
  for (
    const [options, says] of [
      [{ signal: 1 }, "signal 1: expected an AbortSignal"],
      [{ timeout: 1 }, 'option "timeout"'],
    ] as const
  ) {
    await assertRejects(
      () => recorder.flush(wrong<{ signal: AbortSignal }>(options)),
      TypeError,
      says,
    );
  }
  assertThrows(
    () => new WebhookRecorder(redis, { outboxCapacity: Infinity }),
    TypeError,
    "outboxCapacity is Infinity, expected a whole number from 0 to",
  );
  for (const outboxCapacity of [-1, 1.5, NaN, "10"]) {
    assertThrows(
      () =>
        new WebhookRecorder(redis, {
          outboxCapacity: wrong<number>(outboxCapacity),
        }),
      TypeError,
      "outboxCapacity is ",
    );
  }
  for (const retentionSeconds of [0, -1, 1.5, NaN, "60"]) {
    assertThrows(
      () =>
        new WebhookRecorder(redis, {
          retentionSeconds: wrong<number>(retentionSeconds),
        }),
      TypeError,
      "retentionSeconds is ",
    );
  }
});
