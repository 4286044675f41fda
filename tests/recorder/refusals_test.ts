// What a recorder makes of refusals, outages and its own end: each event has one end, and its caller is told.
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
import {
  ClosedError,
  type Command,
  DialError,
  fateOf,
  type RecorderOptions,
  type RecordErrorInfo,
  Redis,
  type RedisOptions,
  ReplyError,
  RetryError,
  type Sender,
  type SendOptions,
  type WebhookEvent,
  WebhookRecorder,
} from "../../mod.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { type RedisServer, startRedis } from "../support/redis_server.ts";

const EVENT = { mallId: "mall", shopNo: 7, eventType: "orders" };
const KEY = "webhook_frequency_mall_7_orders";
const DURABLE = { config: { appendonly: "yes", appendfsync: "always" } };
/** What a sender without a server has. */
const NOWHERE = {
  origin: { hostname: "nowhere", port: 1, database: 0 },
  isClosed: false,
} as const;
const ofShop = (shopNo: number): WebhookEvent => ({ ...EVENT, shopNo });
const keyOfShop = (shopNo: number): string =>
  `webhook_frequency_mall_${shopNo}_orders`;
const ttl = async (server: RedisServer, key = KEY) =>
  Number(await server.cli("TTL", key));
const cardinality = async (server: RedisServer, key = KEY) =>
  Number(await server.cli("ZCARD", key));
const inSeconds = (fromNow: number) => Math.floor(Date.now() / 1000) + fromNow;

/** What onError was told, one line a call. */
class Told {
  readonly calls: { error: unknown; info: RecordErrorInfo }[] = [];
  readonly onError = (error: unknown, info: RecordErrorInfo): void =>
    void this.calls.push({ error, info });

  get lines(): string[] {
    return this.calls.map(({ info: { status, context } }) =>
      `${status} ${context.shopNo}`
    );
  }
}

/** A client that counts what is sent, and may answer in the server's place. */
class Counting implements Sender {
  readonly sent: Command[][] = [];
  readonly #redis: Redis;
  /** What to answer to a command, or `undefined` to ask the server. */
  answer: (command: Command) => ReplyError | undefined = () => undefined;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  get origin() {
    return this.#redis.origin;
  }

  get isClosed() {
    return this.#redis.isClosed;
  }

  async send(command: Command, options?: SendOptions) {
    this.sent.push([command]);
    const answer = this.answer(command);
    if (answer !== undefined) throw answer;
    return await this.#redis.send(command, options);
  }

  async pipeline(commands: readonly Command[], options?: SendOptions) {
    this.sent.push([...commands]);
    const replies = await this.#redis.pipeline(
      commands.map((command) =>
        this.answer(command) === undefined ? command : ["PING"] as Command
      ),
      options,
    );
    return replies.map((reply, i) => this.answer(commands[i]!) ?? reply);
  }

  /** How often a command was sent. */
  countOf(name: string): number {
    return this.sent.flat().filter(([command]) => command === name).length;
  }
}

/** A sender whose server is gone, which counts the attempts. */
class Gone implements Sender {
  readonly origin = NOWHERE.origin;
  readonly isClosed = false;
  attempts = 0;

  send(): Promise<never> {
    this.attempts++;
    return Promise.reject(new Error("gone"));
  }

  pipeline(): Promise<never> {
    return this.send();
  }
}

// Bursts

Deno.test("100,000 shops in one turn are all recorded, in chunks, and in bounds", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  const told = new Told();
  await using recorder = new WebhookRecorder(sender, {
    retentionSeconds: 3600,
    onError: told.onError,
  });
  const events = 100_000;
  const outcomes = await Promise.all(
    Array.from({ length: events }, (_, i) => recorder.record(ofShop(i))),
  );
  assert(outcomes.every(({ status }) => status === "recorded"));
  await recorder.flush();
  assertEquals(Number(await server.cli("DBSIZE")), events);
  assertEquals(told.lines, []);
  assert(sender.sent.every((chunk) => chunk.length <= 3001)); // and what trims as many sets
  assertEquals(sender.countOf("EXPIRE"), events);
});

Deno.test("While more than enough is on its way, the rest waits for room, and no longer than Redis answers", async () => {
  const waiting: (() => void)[] = [];
  const sender: Sender = {
    ...NOWHERE,
    send: () => new Promise((resolve) => waiting.push(() => resolve(1))),
    pipeline: (commands) =>
      new Promise((resolve) =>
        waiting.push(() => resolve(commands.map(() => 1)))
      ),
  };
  await using recorder = new WebhookRecorder(sender, { outboxCapacity: 1000 });
  const statuses: string[] = [];
  const record = (event: WebhookEvent) =>
    recorder.record(event).then(({ status }) => void statuses.push(status));
  const recorded = Promise.all(
    Array.from({ length: 70_000 }, (_, i) => record(ofShop(i))),
  );
  await delay(0);
  assertLess(waiting.length, 60);
  for (let i = 0; i < 70_000; i++) {
    const next = waiting.shift();
    if (next === undefined) break;
    next();
    await delay(0);
  }
  await recorded;
  assertEquals(new Set(statuses), new Set(["recorded"]));

  statuses.length = 0;
  const later = Promise.all(
    Array.from({ length: 70_000 }, (_, i) => record(ofShop(i))),
  );
  const startedAt = performance.now();
  while (statuses.length === 0) await delay(10);
  await delay(50);
  assertGreater(performance.now() - startedAt, 400);
  assertLess(performance.now() - startedAt, 4000);
  assertEquals(recorder.pending, 1000);
  assertEquals(recorder.stats().dropped, statuses.length - 1000);
  assertMatch(`${recorder.stats().reason}`, /^Redis is away/);
  const calls = waiting.length;
  assertEquals((await recorder.record(EVENT)).status, "dropped");
  assertEquals(waiting.length, calls); // without an attempt
  while (waiting.length > 0 || recorder.pending > 0) {
    waiting.shift()?.();
    await delay(0);
  }
  await later;
});

Deno.test("What waits for room waits on while Redis answers, however slowly", async () => {
  const waiting: (() => void)[] = [];
  const sender: Sender = {
    ...NOWHERE,
    send: () => Promise.reject(new Error("not used")),
    pipeline: (commands) =>
      new Promise((resolve) =>
        waiting.push(() => resolve(commands.map(() => 1)))
      ),
  };
  await using recorder = new WebhookRecorder(sender);
  const outcomes = Array.from(
    { length: 70_000 },
    (_, i) => recorder.record(ofShop(i)),
  );
  for (let i = 0; i < 8; i++) {
    await delay(250);
    waiting.shift()!();
  }
  while (waiting.length > 0) {
    waiting.shift()!();
    await delay(0);
  }
  for (const { status } of await Promise.all(outcomes)) {
    assertEquals(status, "recorded");
  }
});

for (const outboxCapacity of [0, 100_000]) {
  Deno.test(
    `When Redis goes away, what waits for room is ${
      outboxCapacity === 0 ? "tried nevertheless" : "queued at once"
    } with an outbox for ${outboxCapacity}`,
    async () => {
      const waiting: PromiseWithResolvers<number[]>[] = [];
      const sender: Sender = {
        ...NOWHERE,
        send: () => Promise.reject(new Error("gone")),
        pipeline: () => {
          const call = Promise.withResolvers<number[]>();
          waiting.push(call);
          return call.promise;
        },
      };
      const recorder = new WebhookRecorder(sender, { outboxCapacity });
      const statuses: string[] = [];
      for (let i = 0; i < 60_000; i++) {
        recorder.record(ofShop(i)).then(({ status }) => statuses.push(status));
      }
      await delay(0);
      assertEquals(waiting.length, 50);
      waiting[0]!.reject(new Error("gone"));
      await delay(0);
      // Its own chunk, and with an outbox the 10,000 that waited for room.
      assertEquals(statuses.length, outboxCapacity === 0 ? 1000 : 11_000);
      for (let i = 1; i < waiting.length; i++) {
        waiting[i]!.reject(new Error("gone"));
        await delay(0);
      }
      await recorder.close({ drainMs: 0 });
      assertEquals(statuses.length, 60_000);
    },
  );
}

Deno.test("Of calls of one event each, too, no more than a window's are on their way", async () => {
  const waiting: (() => void)[] = [];
  const sender: Sender = {
    ...NOWHERE,
    send: () => new Promise((resolve) => waiting.push(() => resolve(1))),
    pipeline: (commands) =>
      new Promise((resolve) =>
        waiting.push(() => resolve(commands.map(() => 1)))
      ),
  };
  await using recorder = new WebhookRecorder(sender);
  const outcomes = [];
  for (let i = 0; i < 700; i++) {
    outcomes.push(recorder.record(ofShop(i)));
    await undefined;
    await undefined;
  }
  assertEquals(waiting.length, 500);
  waiting.shift()!();
  await delay(0);
  assertEquals(waiting.length, 500); // the others have gone together
  for (const answer of waiting) answer();
  for (const { status } of await Promise.all(outcomes)) {
    assertEquals(status, "recorded");
  }
});

Deno.test("Members of one key in one turn are written by ZADDs of at most 1000", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  await using recorder = new WebhookRecorder(sender);
  await Promise.all([recorder.record(EVENT, 600), recorder.record(EVENT, 600)]);
  assertEquals(sender.sent.flat().map((command) => command.length), [
    1202,
    1202,
  ]);
  assertEquals(await cardinality(server), 1200);
  sender.sent.length = 0;
  await Promise.all([recorder.record(EVENT, 400), recorder.record(EVENT, 600)]);
  assertEquals(sender.sent.flat().length, 1);
});

Deno.test("A chunk is bounded in bytes, too", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  await using recorder = new WebhookRecorder(sender, {
    keyOf: ({ shopNo }) => `${shopNo}`.padEnd(100_000, "."),
  });
  await Promise.all(
    Array.from({ length: 10 }, (_, i) => recorder.record(ofShop(i))),
  );
  assertEquals(sender.sent.map(({ length }) => length), [2, 2, 2, 2, 2]);
});

// Retention

Deno.test("A key that could not be written is left alone: a foreign one, a forbidden one, one that memory is short for", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { retry: false });
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, {
    retentionSeconds: 1,
    onError: told.onError,
  });
  await server.cli("SET", KEY, "12345");
  assertEquals((await recorder.record(EVENT)).status, "dropped");
  await recorder.flush();
  assertEquals(await ttl(server), -1);

  await server.cli("ZADD", keyOfShop(8), 1, "old");
  await server.cli("CONFIG", "SET", "maxmemory", 1);
  assertEquals((await recorder.record(ofShop(8))).status, "queued");
  await delay(300);
  assertEquals(await ttl(server, keyOfShop(8)), -1);
  assertEquals(await cardinality(server, keyOfShop(8)), 1);
  await server.cli("CONFIG", "SET", "maxmemory", 0);
  await recorder.flush();
  assertEquals(await ttl(server, keyOfShop(8)), 1);

  await server.cli("ZADD", keyOfShop(9), 1, "old");
  await server.cli("ACL", "SETUSER", "default", "-zadd");
  assertEquals((await recorder.record(ofShop(9))).status, "dropped");
  await recorder.flush();
  assertEquals(await ttl(server, keyOfShop(9)), -1);
  assertEquals(told.lines, ["dropped 7", "queued 8", "dropped 9"]);
});

Deno.test("What was queued is trimmed like the rest, and only once it is written", async () => {
  await using server = await startRedis(DURABLE);
  await using redis = new Redis(server.url, { retry: false });
  await using recorder = new WebhookRecorder(redis, { retentionSeconds: 100 });
  await server.cli("SET", KEY, "12345");
  await server.cli("ZADD", keyOfShop(8), 1, "old");
  await server.stop();
  for (const event of [EVENT, ofShop(8)]) {
    assertEquals((await recorder.record(event)).status, "queued");
  }
  await server.start();
  await recorder.flush();
  assertEquals(await ttl(server), -1);
  assertGreater(await ttl(server, keyOfShop(8)), 90);
  assertEquals(await cardinality(server, keyOfShop(8)), 1);
});

Deno.test("A clock that is ahead trims nothing that others have recorded", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const ahead = 10 * 86_400_000;
  await using right = new WebhookRecorder(redis, { retentionSeconds: 60 });
  await using fast = new WebhookRecorder(redis, {
    retentionSeconds: 60,
    now: () => Date.now() + ahead,
  });
  await server.cli("ZADD", KEY, inSeconds(-50), "young", inSeconds(-70), "old");
  await right.record(EVENT);
  await right.flush();
  assertEquals(await cardinality(server), 2); // the old one has gone
  for (let i = 0; i < 3; i++) {
    await fast.record(EVENT);
    await fast.flush();
  }
  assertEquals(await cardinality(server), 5);
  assertGreater(await ttl(server), 50);
});

Deno.test("A clock of this machine that jumps ahead trims nothing either", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using recorder = new WebhookRecorder(redis, { retentionSeconds: 60 });
  await server.cli("ZADD", KEY, inSeconds(-50), "young");
  const { now } = Date;
  await recorder.record(EVENT);
  try {
    Date.now = () => now() + 86_400_000;
    await recorder.record(EVENT);
    await recorder.flush();
  } finally {
    Date.now = now;
  }
  assertEquals(await cardinality(server), 3);
});

Deno.test("A clock that is behind trims no more than its own events demand", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using recorder = new WebhookRecorder(redis, {
    retentionSeconds: 60,
    now: () => Date.now() - 3_600_000,
  });
  await recorder.record(EVENT);
  await recorder.flush();
  assertEquals(await cardinality(server), 1);
});

Deno.test("Where TIME is refused sets are trimmed by this machine's clock", async () => {
  await using server = await startRedis();
  await server.cli("ACL", "SETUSER", "default", "-time");
  await using redis = new Redis(server.url);
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, {
    retentionSeconds: 60,
    onError: told.onError,
  });
  await server.cli("ZADD", KEY, inSeconds(-50), "young", inSeconds(-70), "old");
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  await recorder.flush();
  assertEquals(await cardinality(server), 2);
  assertEquals(told.lines, []);
});

Deno.test("The server's clock is asked once, and again after a failure", async () => {
  await using server = await startRedis(DURABLE);
  await using redis = new Redis(server.url, { retry: false });
  const sender = new Counting(redis);
  await using recorder = new WebhookRecorder(sender, { retentionSeconds: 60 });
  for (let i = 0; i < 3; i++) {
    await recorder.record(EVENT);
    await recorder.flush();
  }
  assertEquals(sender.countOf("TIME"), 1);
  assertEquals(sender.countOf("EXPIRE"), 3);
  await server.stop();
  await recorder.record(EVENT);
  await server.start();
  await recorder.flush();
  assertEquals(sender.countOf("TIME"), 2);
});

Deno.test("A set whose trimming is lost is trimmed with the next event", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  let isLost = true;
  await using recorder = new WebhookRecorder({
    origin: sender.origin,
    isClosed: false,
    send: (command, options) => sender.send(command, options),
    pipeline: (commands, options) =>
      isLost && commands.some(([name]) => name === "EXPIRE")
        ? Promise.reject(new Error("lost"))
        : sender.pipeline(commands, options),
  }, { retentionSeconds: 60 });
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  await recorder.flush();
  assertEquals(await ttl(server), -1);
  isLost = false;
  assertEquals((await recorder.record(ofShop(8))).status, "recorded");
  await recorder.flush();
  assertGreater(await ttl(server), 50);
  assertGreater(await ttl(server, keyOfShop(8)), 50);
});

Deno.test("record() does not wait until its set is trimmed", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  let isHeld = false;
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  await using recorder = new WebhookRecorder({
    origin: sender.origin,
    isClosed: false,
    send: (command, options) => sender.send(command, options),
    async pipeline(commands, options) {
      if (commands[0]![0] === "ZREMRANGEBYSCORE") {
        isHeld = true;
        await held;
      }
      return await sender.pipeline(commands, options);
    },
  }, { retentionSeconds: 60 });
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  while (!isHeld) await delay(1);
  let isFlushed = false;
  const flushed = recorder.flush().then(() => isFlushed = true);
  await delay(10);
  assert(!isFlushed); // it waits for that
  letGo();
  await flushed;
  assertGreater(await ttl(server), 50);
});

// Redeliveries

Deno.test("A redelivered event that was queued first keeps the later time", async () => {
  await using server = await startRedis(DURABLE);
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

// Refusals

/** Records with options of the client that Redis refuses. */
async function refused(
  server: RedisServer,
  url: string,
  options: RedisOptions = {},
) {
  await using redis = new Redis(url, options);
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, { onError: told.onError });
  const outcome = await recorder.record(EVENT);
  await recorder.flush({ signal: AbortSignal.timeout(2000) });
  const again = await recorder.record(ofShop(8));
  const inspected = Deno.inspect(recorder);
  assertEquals([outcome.status, again.status], ["dropped", "dropped"]);
  assertEquals(told.lines, ["dropped 7", "dropped 8"]);
  assertEquals(told.calls[0]!.error, outcome.error);
  assertEquals(recorder.pending, 0);
  assertEquals(recorder.stats().dropped, 2);
  assert(!inspected.includes("is away"), inspected);
  assertStringIncludes(inspected, "2 lost");
  assertEquals(await server.cli("DBSIZE"), "0");
  return { ...outcome, inspected };
}

Deno.test("What no later attempt changes is dropped, told once, and holds up no flush", async () => {
  await using server = await startRedis({ password: "s3cret" });
  const { port } = server;
  const say = (...words: string[]) => server.cli("ACL", "SETUSER", ...words);
  const base = `127.0.0.1:${port}`;
  {
    const { error, inspected } = await refused(server, `redis://:no@${base}`);
    assertInstanceOf(error, DialError);
    assertStringIncludes(inspected, "WRONGPASS");
    assertMatch(inspected, /cannot be used by this client, for \d/);
  }
  {
    const { inspected } = await refused(server, `redis://${base}`);
    assertStringIncludes(inspected, "NOAUTH");
  }
  await say("a", "on", ">pw", "~other_*", "+@all");
  const a = await refused(server, `redis://a:pw@${base}`);
  assertEquals((a.error as ReplyError).code, "NOPERM");
  await say("b", "on", ">pw", "~*", "+@all", "-zadd");
  const b = await refused(server, `redis://b:pw@${base}`);
  assertEquals((b.error as ReplyError).code, "NOPERM");
  assertEquals(fateOf(b.error), "unsent");
});

/** A node of a cluster, whose bus has a port of its own. */
function startNode(): Promise<RedisServer> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return startRedis({
    config: {
      "cluster-enabled": "yes",
      "cluster-port": port,
      "cluster-require-full-coverage": "no",
    },
  });
}

Deno.test("A node of a cluster that has not the key says so, and the event is dropped", async () => {
  await using server = await startNode();
  await using other = await startNode();
  const bus = async (node: RedisServer) =>
    (await node.cli("CONFIG", "GET", "cluster-port")).split("\n")[1]!;
  const slot = Number(await server.cli("CLUSTER", "KEYSLOT", KEY));
  await server.cli("CLUSTER", "ADDSLOTSRANGE", 0, slot - 1, slot + 1, 16383);
  await other.cli("CLUSTER", "ADDSLOTS", slot);
  await server.cli(
    "CLUSTER",
    "MEET",
    "127.0.0.1",
    other.port,
    await bus(other),
  );
  await using redis = new Redis(server.url);
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, { onError: told.onError });
  const says = () => server.cli("ZCARD", KEY).catch((error) => `${error}`);
  while (!(await says()).includes("MOVED")) await delay(50);
  const [moved, here] = await Promise.all([
    recorder.record(EVENT),
    recorder.record(ofShop(8)),
  ]);
  assertEquals([moved.status, here.status], ["dropped", "recorded"]);
  assertMatch(`${moved.error}`, /MOVED .*this server is a node of a cluster/);
  assertEquals((await recorder.record(EVENT)).status, "dropped");
  assertEquals(told.lines, ["dropped 7", "dropped 7"]);
  await recorder.flush();
});

Deno.test("A permission that is missing is a drop, too", async () => {
  const program = `
    import { Redis, WebhookRecorder } from ${
    JSON.stringify(new URL("../../mod.ts", import.meta.url).href)
  };
    await using redis = new Redis("redis://127.0.0.1:6390");
    await using recorder = new WebhookRecorder(redis);
    const { status } = await recorder.record(${JSON.stringify(EVENT)});
    await recorder.flush();
    console.log(status, recorder.pending);
  `;
  const { importFlags } = await import("../support/imports.ts");
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--no-check",
      "--quiet",
      ...importFlags,
      `data:application/typescript,${encodeURIComponent(program)}`,
    ],
    env: { NO_COLOR: "1" },
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "dropped 0\n");
});

Deno.test("A refusal of one key says nothing of the others", async () => {
  await using server = await startRedis();
  const user = ["ACL", "SETUSER", "app", "on", ">pw", "+@all"];
  await server.cli(...user, "~webhook_frequency_mall_8_*");
  await using redis = new Redis(`redis://app:pw@127.0.0.1:${server.port}`);
  await using recorder = new WebhookRecorder(redis, { outboxCapacity: 10 });
  for (let i = 0; i < 20; i++) {
    assertEquals((await recorder.record(EVENT)).status, "dropped");
    assertEquals((await recorder.record(ofShop(8))).status, "recorded");
  }
  const together = await Promise.all([
    recorder.record(EVENT),
    recorder.record(ofShop(8)),
  ]);
  assertEquals(together.map(({ status }) => status), ["dropped", "recorded"]);
  assertEquals(recorder.pending, 0);
  assertEquals(await cardinality(server, keyOfShop(8)), 21);
});

Deno.test("While memory is short for one event, others are recorded at once", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  sender.answer = ([, key]) =>
    key === KEY ? new ReplyError("OOM command not allowed") : undefined;
  await using recorder = new WebhookRecorder(sender);
  assertEquals((await recorder.record(EVENT)).status, "queued");
  assertEquals((await recorder.record(ofShop(8))).status, "recorded");
  assertEquals(recorder.pending, 1);
  sender.answer = () => undefined;
  await recorder.flush();
  assertEquals(await cardinality(server), 1);
});

Deno.test("An event that is refused again and again is given up after a quarter of an hour", async () => {
  const { now } = performance;
  let late = 0;
  performance.now = () => now.call(performance) + late;
  try {
    let calls = 0;
    const sender: Sender = {
      ...NOWHERE,
      send: () => Promise.reject(new ReplyError("OOM command not allowed")),
      pipeline: (commands) => {
        calls++;
        return Promise.resolve(
          commands.map(() => new ReplyError("OOM command not allowed")),
        );
      },
    };
    const told = new Told();
    await using recorder = new WebhookRecorder(sender, {
      onError: told.onError,
    });
    const attempt = async () => {
      const before = calls;
      while (calls === before && recorder.pending > 0) {
        await recorder.flush({ signal: AbortSignal.timeout(5) }).catch(
          () => {},
        );
      }
    };
    sender.send = (command) =>
      sender.pipeline([command]).then(([r]) => {
        throw r;
      });
    assertEquals((await recorder.record(EVENT)).status, "queued");
    for (let i = 0; i < 30; i++) await attempt();
    assertEquals(recorder.pending, 1); // often enough, but not for long enough
    late = 890_000;
    await attempt();
    assertEquals(recorder.pending, 1);
    assertMatch(`${recorder.stats().reason}`, /^Redis refuses to record/);
    late = 901_000;
    await attempt();
    assertEquals(recorder.pending, 0);
    assertEquals(told.lines, ["queued 7", "dropped 7"]);

    assertEquals((await recorder.record(EVENT)).status, "queued");
    await attempt();
    late += 1_000_000;
    await attempt();
    assertEquals(recorder.pending, 1); // for long enough, but not often enough
    for (let i = 0; i < 10; i++) await attempt();
    assertEquals(recorder.pending, 0);
  } finally {
    performance.now = now;
  }
});

Deno.test("What was queued outlives a password that is wrong for a moment, and not for long", async () => {
  await using right = await startRedis({ password: "right" });
  await using wrong = await startRedis({ password: "other" });
  await using proxy = await startProxy({ target: right });
  await using redis = new Redis(proxy.url, { password: "right", retry: false });
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, { onError: told.onError });
  const outage = async (backTo: RedisServer) => {
    await proxy.refuse();
    await proxy.killAll("rst");
    assertEquals((await recorder.record(EVENT)).status, "queued");
    proxy.retarget(backTo);
    await proxy.accept();
  };
  await outage(wrong);
  while (!`${recorder.stats().reason}`.includes("WRONGPASS")) await delay(5);
  assertMatch(`${recorder.stats().reason}`, /cannot be used by this client/);
  assertEquals(recorder.pending, 1);
  proxy.retarget(right);
  await recorder.flush();
  assertEquals(await cardinality(right), 1);
  assertEquals(told.lines, ["queued 7"]);

  told.calls.length = 0;
  await outage(wrong);
  await recorder.flush({ signal: AbortSignal.timeout(10_000) });
  assertEquals(recorder.pending, 0);
  assertEquals(told.lines, ["queued 7", "dropped 7"]);
  assertMatch(
    `${told.calls[1]!.error}`,
    /^Error: 1 event is lost: .*WRONGPASS/,
  );
});

Deno.test("Denials count in a row: a moment of success is a new beginning", async () => {
  const denied = new DialError("nowhere:1", "handshake", "WRONGPASS", {
    isRetriable: false,
  });
  const gone = new Error("gone");
  // One for the first attempt, then those of the outbox.
  let answers: (Error | undefined)[] = [];
  const sender: Sender = {
    ...NOWHERE,
    send: () => {
      const error = answers.shift();
      return error === undefined ? Promise.resolve(1) : Promise.reject(error);
    },
    pipeline: (commands) =>
      sender.send(["PING"]).then(() => commands.map(() => 1)),
  };
  const told = new Told();
  await using recorder = new WebhookRecorder(sender, {
    onError: told.onError,
  });
  for (let i = 0; i < 3; i++) {
    answers = [gone, denied, denied, denied];
    assertEquals((await recorder.record(EVENT)).status, "queued");
    while (recorder.pending > 0) {
      await recorder.flush({ signal: AbortSignal.timeout(5) }).catch(() => {});
    }
  }
  assertEquals(told.lines, ["queued 7", "queued 7", "queued 7"]);
  answers = [gone, denied, denied, gone, denied, denied, denied, denied];
  await recorder.record(EVENT);
  while (recorder.pending > 0) {
    await recorder.flush({ signal: AbortSignal.timeout(5) }).catch(() => {});
  }
  assertEquals(recorder.stats().dropped, 0);
});

Deno.test("Refusals of some events do not slow down the others of the outbox", async () => {
  let isAway = true;
  const sender: Sender = {
    ...NOWHERE,
    send: () => Promise.reject(new Error("gone")),
    pipeline: (commands) =>
      isAway ? Promise.reject(new Error("gone")) : Promise.resolve(
        commands.map(([, key]) => key === KEY ? new ReplyError("OOM no") : 1),
      ),
  };
  const recorder = new WebhookRecorder(sender, {
    outboxCapacity: 40_000,
  });
  const outcomes = await Promise.all(
    Array.from(
      { length: 40_000 },
      (_, i) => recorder.record(i % 500 === 0 ? EVENT : ofShop(100 + i)),
    ),
  );
  assert(outcomes.every(({ status }) => status === "queued"));
  isAway = false;
  recorder.flush();
  const startedAt = performance.now();
  while (recorder.pending > 80) await delay(5);
  assertLess(performance.now() - startedAt, 2500); // no waits between chunks
  assertEquals(recorder.pending, 80);
  await recorder.close({ drainMs: 0 });
});

Deno.test("What counts is what the last attempt of a call failed with", async () => {
  const denied = new DialError("nowhere:1", "handshake", "WRONGPASS", {
    isRetriable: false,
  });
  const loading = new DialError("nowhere:1", "handshake", "LOADING", {
    cause: new ReplyError("LOADING Redis is loading"),
  });
  const sender: Sender = {
    ...NOWHERE,
    send: () => Promise.reject(new RetryError([new Error("gone"), denied])),
    pipeline: () => Promise.reject(loading),
  };
  const recorder = new WebhookRecorder(sender);
  assertEquals((await recorder.record(EVENT)).status, "dropped");
  sender.send = () => Promise.reject(new RetryError([denied, loading]));
  assertEquals((await recorder.record(EVENT)).status, "queued");
  for (const error of [new TypeError("no"), new RangeError("too long")]) {
    const { send } = sender;
    sender.send = () => Promise.reject(error);
    const other = new WebhookRecorder(sender);
    assertEquals((await other.record(EVENT)).status, "dropped");
    sender.send = send;
  }
  // A server that says that it is loading is not away.
  assertMatch(`${recorder.stats().reason}`, /^Redis refuses to record/);
  await recorder.close({ drainMs: 0 });
});

// One call an event

Deno.test("onError knows the event, its time, its count and what became of it", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { retry: false });
  const told = new Told();
  const recorder = new WebhookRecorder(redis, {
    onError: told.onError,
    outboxCapacity: 3,
  });
  await server.stop();
  const receivedAt = 1_700_000_000_999;
  await recorder.record({ ...EVENT, deliveryId: "d", receivedAt }, 3);
  await recorder.record({ ...ofShop(8), receivedAt });
  const context = (status: "queued" | "dropped") => ({
    status,
    context: {
      ...EVENT,
      deliveryId: "d",
      score: 1_700_000_000,
      count: 3,
      status,
    },
    tags: { category: "webhook_blacklist" as const },
  });
  assertEquals(told.calls[0]!.info, context("queued"));
  assertEquals(told.calls[1]!.info.status, "dropped");
  assert(!("deliveryId" in told.calls[1]!.info.context));
  await recorder.close({ drainMs: 0 });
  assertEquals(told.calls.length, 3);
  assertEquals(told.calls[2]!.info, context("dropped"));
  assertMatch(`${told.calls[2]!.error}`, /^Error: 3 events are lost: /);
  assertEquals(recorder.stats(), {
    pending: 0,
    capacity: 3,
    recorded: 0,
    queued: 3,
    sent: 0,
    dropped: 4,
    awaySince: recorder.stats().awaySince,
    lastError: recorder.stats().lastError,
    reason: recorder.stats().reason,
  });
});

Deno.test("Statistics count what was recorded, queued, sent and dropped, and say why", async () => {
  await using server = await startRedis(DURABLE);
  await using redis = new Redis(server.url, { retry: false });
  await using recorder = new WebhookRecorder(redis);
  const counts = () => {
    const { pending, recorded, queued, sent, dropped } = recorder.stats();
    return [pending, recorded, queued, sent, dropped];
  };
  await recorder.record(EVENT, 2);
  assertEquals(counts(), [0, 2, 0, 0, 0]);
  assertEquals(recorder.stats().awaySince, undefined);
  assertEquals(recorder.stats().reason, undefined);
  await server.stop();
  await recorder.record(EVENT, 3);
  await recorder.record(EVENT);
  assertEquals(counts(), [4, 2, 4, 0, 0]);
  const { awaySince, lastError, reason } = recorder.stats();
  assertLess(Math.abs(Date.now() - awaySince!), 5000);
  assertInstanceOf(lastError, Error);
  assertMatch(reason!, /^Redis is away, for \d+\.\d s: /);
  assertMatch(
    Deno.inspect(recorder),
    /^WebhookRecorder open, 4 of 10000 events in the outbox, Redis is away, for/,
  );
  await delay(300);
  assertEquals(recorder.stats().awaySince, awaySince); // since the first failure
  await server.start();
  await recorder.flush();
  assertEquals(counts(), [0, 6, 4, 4, 0]);
  assertEquals(recorder.stats().reason, undefined);
  assertEquals(
    Deno.inspect(recorder),
    "WebhookRecorder open, 0 of 10000 events in the outbox",
  );
});

Deno.test("Why events wait is said: memory, a replica, a server that loads", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { retry: false });
  const recorder = new WebhookRecorder(redis);
  await server.cli("CONFIG", "SET", "maxmemory", 1);
  assertEquals((await recorder.record(EVENT)).status, "queued");
  assertMatch(
    Deno.inspect(recorder),
    /1 of .*Redis refuses to record, .*: OOM /,
  );
  await server.cli("CONFIG", "SET", "maxmemory", 0);
  await server.cli("REPLICAOF", "127.0.0.1", 1);
  await recorder.flush({ signal: AbortSignal.timeout(300) }).catch(() => {});
  assertEquals((await recorder.record(EVENT)).status, "queued");
  assertMatch(Deno.inspect(recorder), /Redis refuses to record, .*: READONLY /);
  await server.cli("REPLICAOF", "NO", "ONE");
  await recorder.flush();
  await recorder.close();
});

// Attempts

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

Deno.test("deadlineMs bounds record(), whatever Redis and the client's attempts do", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using redis = new Redis(proxy.url);
  await using recorder = new WebhookRecorder(redis, { deadlineMs: 200 });
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  proxy.silence();
  const startedAt = performance.now();
  const { status, error } = await recorder.record(EVENT);
  assertEquals(status, "queued");
  assertInstanceOf(error, Error);
  assertMatch(error.message, /not done within \d+ ms \(deadlineMs\)/);
  assertLess(performance.now() - startedAt, 1000);
  assertGreater(performance.now() - startedAt, 150);
  proxy.pass();
  await proxy.killAll("rst");
  await recorder.flush();
  assertEquals(await cardinality(server), 2);
});

Deno.test("deadlineMs bounds the wait for room, too", async () => {
  const sender: Sender = {
    ...NOWHERE,
    send: () => new Promise(() => {}),
    pipeline: () => new Promise(() => {}),
  };
  const recorder = new WebhookRecorder(sender, {
    deadlineMs: 300,
    outboxCapacity: 100_000,
  });
  let queued = 0;
  for (let i = 0; i < 60_000; i++) {
    recorder.record(ofShop(i)).then(() => queued++);
  }
  const startedAt = performance.now();
  while (queued < 9_000) await delay(10);
  assertLess(performance.now() - startedAt, 5000); // it would never end
  const { lastError } = recorder.stats();
  assertMatch(`${lastError}`, /could not be sent for 300 ms/);
  assertEquals(fateOf(lastError), "unsent");
  await recorder.close({ drainMs: 0 });
  assertEquals(queued, 60_000);
});

// The end

Deno.test("A recorder that gives up leaves its client nothing to wait for", async () => {
  await using server = await startRedis();
  const redis = new Redis(server.url);
  const told = new Told();
  const recorder = new WebhookRecorder(redis, {
    onError: told.onError,
    retentionSeconds: 60,
  });
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  server.freeze();
  const outcome = recorder.record(ofShop(8), 2);
  await delay(20);
  const startedAt = performance.now();
  await recorder.close({ drainMs: 300 });
  await redis.close();
  assertLess(performance.now() - startedAt, 1500);
  const { status, error } = await outcome;
  assertEquals(status, "dropped");
  assertMatch(`${error}`, /^Error: 2 events are lost: /);
  assertEquals(told.lines, ["dropped 8"]);
  server.thaw();
});

Deno.test("A recorder that gives up while it sends its outbox is done, although the server answers then", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, {
    retry: false,
    replyTimeoutMs: 300,
  });
  const told = new Told();
  const recorder = new WebhookRecorder(redis, { onError: told.onError });
  await recorder.record(EVENT);
  server.freeze();
  for (const shopNo of [1, 2]) {
    assertEquals((await recorder.record(ofShop(shopNo))).status, "queued");
  }
  await delay(150);
  await recorder.close({ drainMs: 100 });
  assertEquals(told.lines, ["queued 1", "queued 2", "dropped 1", "dropped 2"]);
  server.thaw();
  await delay(300);
  assertEquals(told.lines.length, 4);
  assertEquals(recorder.pending, 0);
  assertEquals(recorder.stats().dropped, 2);
  // Why they were lost, not that they are.
  assert(!`${recorder.stats().lastError}`.includes("lost"));
});

Deno.test("A client that ignores its signal cannot make an event end twice", async () => {
  const answers: (() => void)[] = [];
  const sender: Sender = {
    ...NOWHERE,
    send: () => new Promise((resolve) => answers.push(() => resolve(1))),
    pipeline: () => new Promise(() => {}),
  };
  const told = new Told();
  const recorder = new WebhookRecorder(sender, { onError: told.onError });
  const outcome = recorder.record(EVENT);
  await delay(0);
  await recorder.close({ drainMs: 0 });
  assertEquals((await outcome).status, "dropped");
  for (const answer of answers) answer();
  await delay(0);
  assertEquals(told.lines, ["dropped 7"]);
  assertEquals([recorder.stats().recorded, recorder.stats().dropped], [0, 1]);
});

Deno.test("An event whose members are made when the recorder gives up is dropped", async () => {
  await using redis = new Redis("redis://127.0.0.1:1", { retry: false });
  const told = new Told();
  const recorder = new WebhookRecorder(redis, { onError: told.onError });
  const outcome = recorder.record({ ...EVENT, deliveryId: "d" }, 500);
  await recorder.close({ drainMs: 0 });
  assertEquals((await outcome).status, "dropped");
  assertEquals(told.lines, ["dropped 7"]);
  await recorder.flush();
});

Deno.test("Nothing is sent any more once a recorder has given up", async () => {
  let calls = 0;
  const answer = (): Promise<never> => {
    calls++;
    return new Promise(() => {});
  };
  const recorder = new WebhookRecorder({
    ...NOWHERE,
    send: answer,
    pipeline: answer,
  });
  const outcome = recorder.record({ ...EVENT, deliveryId: "d" }, 500);
  await recorder.close({ drainMs: 0 });
  const { status, error } = await outcome;
  assertEquals([status, calls], ["dropped", 0]);
  assertMatch(`${error}`, /lost/);
});

Deno.test("Closing twice is closing once, and its option is checked", async () => {
  await using redis = new Redis("redis://127.0.0.1:1", { retry: false });
  const recorder = new WebhookRecorder(redis);
  for (const drainMs of [-1, 1.5, NaN, "1", null]) {
    await assertRejects(
      () =>
        new WebhookRecorder(redis).close(
          { drainMs } as unknown as { drainMs: number },
        ),
      TypeError,
      "drainMs is ",
    );
  }
  await recorder.record(EVENT);
  const startedAt = performance.now();
  const closing = recorder.close({ drainMs: 200 });
  assert(recorder.close() === closing);
  await assertRejects(() => recorder.record(EVENT), TypeError, "closed");
  const disposed = recorder[Symbol.asyncDispose]().then(() =>
    performance.now() - startedAt
  );
  await closing;
  assertGreater(await disposed, 150);
  assertLess(await disposed, 1500);
  assertMatch(Deno.inspect(recorder), /^WebhookRecorder closed, 0 of .*1 lost/);
});

Deno.test("Once its client is closed an event is dropped, and flush() ends", async () => {
  await using server = await startRedis();
  const redis = new Redis(server.url, { retry: false });
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, { onError: told.onError });
  await server.stop();
  assertEquals((await recorder.record(EVENT)).status, "queued");
  await redis.close();
  await recorder.flush();
  const { status, error } = await recorder.record(ofShop(8));
  assertEquals(status, "dropped");
  assertInstanceOf(error, ClosedError);
  assertEquals(told.lines, ["queued 7", "dropped 7", "dropped 8"]);
});

// Arguments

Deno.test("receivedAt is the time of an event, and keeps it through an outage", async () => {
  await using server = await startRedis(DURABLE);
  await using redis = new Redis(server.url, { retry: false });
  await using recorder = new WebhookRecorder(redis);
  await recorder.record({ ...EVENT, receivedAt: 1_700_000_000_999 });
  await server.stop();
  await recorder.record({ ...EVENT, receivedAt: 0 });
  await server.start();
  await recorder.flush();
  const words = await server.cli("ZRANGE", KEY, 0, -1, "WITHSCORES");
  assertEquals(
    words.split("\n").filter((_, i) => i % 2 === 1),
    ["0", "1700000000"],
  );
  for (const receivedAt of [-1, NaN, Infinity, "0", null, new Date()]) {
    await assertRejects(
      () => recorder.record({ ...EVENT, receivedAt } as WebhookEvent),
      TypeError,
      "receivedAt is ",
    );
  }
});

Deno.test("A field that is unknown is refused by name", async () => {
  await using redis = new Redis("redis://127.0.0.1:1");
  await using recorder = new WebhookRecorder(redis);
  for (const name of ["deliveryID", "delivery_id", "count", "id"]) {
    const event = { ...EVENT, [name]: undefined } as WebhookEvent;
    const says = `unknown field "${name}", expected mallId, shopNo`;
    await assertRejects(() => recorder.record(event), TypeError, says);
    await assertRejects(
      () => recorder.frequency(event, { windowSeconds: 1 }),
      TypeError,
      says,
    );
  }
});

Deno.test("What keyOf, now and newMember throw or make costs their event alone", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const told = new Told();
  let turn = 0;
  const fails = new Error("of the user");
  const wrong = (value: unknown) => value as never;
  for (
    const options of [
      { keyOf: () => ++turn === 2 ? wrong(undefined) : "k" },
      {
        keyOf: () => {
          if (++turn === 2) throw fails;
          return "k";
        },
      },
      { now: () => ++turn === 2 ? NaN : 1000, keyOf: () => "k" },
      {
        now: () => {
          if (++turn === 2) throw fails;
          return 1000;
        },
        keyOf: () => "k",
      },
      {
        newMember: () => ++turn === 2 ? wrong({}) : `${turn}`,
        keyOf: () => "k",
      },
    ] satisfies RecorderOptions[]
  ) {
    turn = 0;
    told.calls.length = 0;
    await using recorder = new WebhookRecorder(redis, {
      ...options,
      onError: told.onError,
    });
    const outcomes = await Promise.all(
      [1, 2, 3].map((shopNo) => recorder.record(ofShop(shopNo))),
    );
    assertEquals(
      outcomes.map(({ status }) => status),
      ["recorded", "dropped", "recorded"],
    );
    assertEquals(told.lines, ["dropped 2"]);
    assertEquals(told.calls[0]!.error, outcomes[1]!.error);
  }
});

Deno.test("Anything with send, pipeline and an origin will do as a client; nothing less", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using recorder = new WebhookRecorder(new Counting(redis));
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  assertEquals(await recorder.frequency(EVENT, { windowSeconds: 60 }), 1);
  for (const client of [undefined, null, {}, { send() {} }, "redis://"]) {
    assertThrows(
      () => new WebhookRecorder(client as unknown as Sender),
      TypeError,
      "expected a Redis or another Sender",
    );
  }
  for (const deadlineMs of [0, -1, 1.5, NaN, "1"]) {
    assertThrows(
      () => new WebhookRecorder(redis, { deadlineMs: deadlineMs as number }),
      TypeError,
      "deadlineMs is ",
    );
  }
});

Deno.test("flush() waits for the events accepted before it alone, each one of them", async () => {
  const held = new Map<string, () => void>();
  const sender: Sender = {
    ...NOWHERE,
    send: ([, key]) =>
      new Promise((resolve) => held.set(`${key}`, () => resolve(1))),
    pipeline: () => new Promise(() => {}),
  };
  const recorder = new WebhookRecorder(sender);
  const ended: string[] = [];
  const record = async (shopNo: number) => {
    recorder.record(ofShop(shopNo));
    await delay(0);
  };
  const flush = (name: string) =>
    void recorder.flush().then(() => ended.push(name));
  const answer = async (shopNo: number) => {
    held.get(keyOfShop(shopNo))!();
    await delay(0);
  };
  await record(1);
  await record(2);
  flush("first");
  await record(3);
  flush("second");
  flush("again");
  await record(4);
  await answer(2);
  assertEquals(ended, []);
  await answer(3);
  assertEquals(ended, []);
  await answer(1);
  assertEquals(ended, ["first", "second", "again"]);
  flush("third");
  await delay(0);
  assertEquals(ended.length, 3);
  const { signal } = new AbortController();
  let listeners = 0;
  signal.addEventListener = () => void listeners++;
  signal.removeEventListener = () => void listeners--;
  const flushed = recorder.flush({ signal });
  assertEquals(listeners, 1);
  await answer(4);
  assertEquals(ended.length, 4);
  await flushed;
  assertEquals(listeners, 0);
  await recorder.flush();
  await recorder.close();
});
