// The blacklist on a real server: what it decides, what that costs, and what it keeps in Redis.
import "../../support/strict.ts";
import {
  assertEquals,
  assertGreater,
  assertLessOrEqual,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  Blacklist,
  type BlacklistOptions,
  Redis,
  type Shop,
  type WebhookEvent,
  WebhookRecorder,
} from "../../../mod.ts";
import { sequenceHazard } from "../../../client/commands/replay.ts";
import { testWithFixture } from "../../support/fixture.ts";
import { RoundTrips } from "../../support/round_trips.ts";
import {
  cardinality,
  Counting,
  EVENT,
  inSeconds,
  KEY,
  ofShop,
  ttl,
} from "../doubles.ts";

const OPTIONS = { limit: 3, windowSeconds: 60, blockSeconds: 600 };
const SHOP = { mallId: "mall", shopNo: 7 };
const BLOCK_KEY = "webhook_blocked_mall_7";
const LIST = "webhook_blocked";

/** A blacklist of a process of its own, and what is sent for it. */
function blacklistOf(
  redis: Redis,
  options: Partial<BlacklistOptions> = {},
  now: () => number = Date.now,
) {
  const sender = new Counting(redis);
  const recorder = new WebhookRecorder(sender, { now });
  const blacklist = new Blacklist(recorder, { ...OPTIONS, ...options });
  const record = (times = 1, event: WebhookEvent = EVENT) =>
    Promise.all(Array.from({ length: times }, () => blacklist.record(event)));
  const blockedOf = async (times = 1, event: WebhookEvent = EVENT) =>
    (await record(times, event)).map(({ isBlocked }) => isBlocked);
  return { sender, recorder, blacklist, record, blockedOf };
}

const listed = async (blacklist: Blacklist): Promise<string[]> =>
  (await Array.fromAsync(blacklist.blocked()))
    .map(({ mallId, shopNo }) => `${mallId} ${shopNo}`);

testWithFixture(
  "Each event up to the limit is let through, the next one blocks the shop, and those after it are not recorded",
  async (fixture) => {
    const { blacklist } = blacklistOf(fixture.client());
    for (let i = 1; i <= 3; i++) {
      assertEquals(await blacklist.record(EVENT), {
        outcome: { status: "recorded", count: 1, frequency: i },
        frequency: i,
        isBlocked: false,
      });
    }
    assertEquals(await blacklist.isBlocked(SHOP), false);
    assertEquals(await blacklist.record(EVENT), {
      outcome: { status: "recorded", count: 1, frequency: 4 },
      frequency: 4,
      isBlocked: true,
      retryAfterSeconds: 600,
    });
    assertEquals(await blacklist.isBlocked(SHOP), true);
    assertEquals(await blacklist.record(EVENT), {
      isBlocked: true,
      retryAfterSeconds: 600,
    });
    assertEquals(await cardinality(fixture.server), 4);
    // Another type of the shop is blocked as well, another shop is not.
    const other = { ...EVENT, eventType: "products" };
    assertEquals((await blacklist.record(other)).isBlocked, true);
    assertEquals((await blacklist.record(ofShop(8))).isBlocked, false);
  },
);

testWithFixture(
  "Events that travel together have a rank each: no more than the limit are let through, and the block is written once",
  async (fixture) => {
    const { sender, blockedOf } = blacklistOf(fixture.client());
    const blocked = await blockedOf(10);
    assertEquals(blocked.filter((isBlocked) => !isBlocked).length, 3);
    assertEquals(blocked.slice(0, 3), [false, false, false]);
    assertEquals(sender.countOf("SET"), 1);
    assertEquals(sender.countOf("GET"), 1);
  },
);

testWithFixture(
  "A decision is one round trip, that of a known block none, and the event that blocks takes two",
  async (fixture) => {
    await using wire = new RoundTrips(fixture.server.port);
    await using redis = new Redis(wire.url, { maxConnections: 1 });
    await redis.send(["PING"]);
    const { blacklist } = blacklistOf(redis, { limit: 1 });
    const trips = async (event: WebhookEvent): Promise<number> => {
      const before = wire.count;
      await blacklist.record(event);
      return wire.count - before;
    };
    assertEquals(await trips(EVENT), 1);
    assertEquals(await trips(EVENT), 2);
    assertEquals(await trips(EVENT), 0);
  },
);

testWithFixture(
  "Another process sees the block in the flush of its first event, and a third one without recording",
  async (fixture) => {
    const first = blacklistOf(fixture.client());
    await first.record(4);
    const second = blacklistOf(fixture.client());
    const [decision] = await second.record();
    assertEquals(decision!.isBlocked, true);
    assertEquals(decision!.frequency, 5);
    assertEquals(second.sender.countOf("SET"), 0);
    const third = blacklistOf(fixture.client());
    assertEquals(await third.blacklist.isBlocked(SHOP), true);
    assertEquals((await third.record())[0]!.outcome, undefined);
    assertEquals(third.sender.sent, [[["GET", BLOCK_KEY]]]);
  },
);

testWithFixture(
  "A block is looked up again once its time of trust is over, by one GET for all events, and nothing is recorded meanwhile",
  async (fixture) => {
    const { sender, record, blockedOf } = blacklistOf(fixture.client(), {
      isKnownForMs: 100,
    });
    await record(4);
    assertEquals(await blockedOf(20), Array(20).fill(true));
    assertEquals(sender.countOf("GET"), 1);
    await delay(150);
    assertEquals(await blockedOf(20), Array(20).fill(true));
    assertEquals(sender.countOf("GET"), 2);
    assertEquals(await blockedOf(20), Array(20).fill(true));
    assertEquals(sender.countOf("GET"), 2);
    assertEquals(await cardinality(fixture.server), 4);
  },
);

testWithFixture(
  "A shop that is let through counts from then on, in this process and in others, although its window is full",
  async (fixture) => {
    let now = Date.now();
    const clock = () => now;
    const options = { isKnownForMs: 300 };
    const [first, second, third] = [1, 2, 3].map(() =>
      blacklistOf(fixture.client(), options, clock)
    ) as [Setup, Setup, Setup];
    await first.record(8);
    assertEquals(await second.blockedOf(), [true]);
    now += 1000;
    await first.blacklist.unblock(SHOP);
    now += 1000;
    await delay(310);
    // The second one reads that it was let through, and counts what does not count once.
    assertEquals(await first.blockedOf(), [false]);
    assertEquals(await second.blockedOf(), [false]);
    // Three at once: the rank of each is kept.
    assertEquals(await third.blockedOf(2), [false, true]);
    assertEquals(third.sender.countOf("ZCOUNT"), 2);
    await first.blacklist.unblock(SHOP);
    now += 1000;
    await delay(310);
    assertEquals(await third.blockedOf(4), [false, false, false, true]);
    // From the second flush on, the count itself begins there.
    assertEquals(await second.blacklist.isBlocked(SHOP), true);
  },
);
type Setup = ReturnType<typeof blacklistOf>;

testWithFixture(
  "A shop that is let through is counted from there in the same flush, once that is known",
  async (fixture) => {
    let now = Date.now();
    const { sender, blacklist, record, blockedOf } = blacklistOf(
      fixture.client(),
      {},
      () => now,
    );
    await record(8);
    await blacklist.unblock(SHOP);
    now += 1000;
    const sent = sender.sent.length;
    assertEquals(await blockedOf(3), [false, false, false]);
    assertEquals(sender.sent.length, sent + 1);
    const [, , count] = sender.sent.at(-1)!;
    assertEquals(count, [
      "ZCOUNT",
      KEY,
      `(${Math.floor(now / 1000) - 1}`,
      "+inf",
    ]);
  },
);

testWithFixture(
  "As many events as the limit are let through after a shop is, and the next one blocks it",
  async (fixture) => {
    const { blacklist, record } = blacklistOf(fixture.client());
    await record(4);
    await blacklist.unblock(SHOP);
    const decisions = [];
    for (let i = 1; i <= 4; i++) {
      const { frequency, isBlocked } = await blacklist.record(EVENT);
      decisions.push([frequency, isBlocked]);
    }
    assertEquals(decisions, [[1, false], [2, false], [3, false], [4, true]]);
  },
);

testWithFixture(
  "A block by hand has its own end and reason, replaces another one, and is not shortened by an automatic one that was under way",
  async (fixture) => {
    const { server, proxy } = fixture;
    const { blacklist, record } = blacklistOf(fixture.client(), {
      blockSeconds: 5,
    });
    await record(4);
    await blacklist.block(EVENT, { seconds: 3600, reason: "by phone" });
    const [shop] = await Array.fromAsync(blacklist.blocked());
    assertEquals(shop, {
      ...SHOP,
      since: shop!.since,
      until: shop!.since + 3_600_000,
      reason: "by phone",
    });
    await blacklist.block(SHOP, { seconds: 60 });
    const [shorter] = await Array.fromAsync(blacklist.blocked());
    assertEquals(shorter!.reason, undefined);
    assertEquals(shorter!.until, shorter!.since + 60_000);
    assertEquals((await record())[0]!.retryAfterSeconds, 60);

    // Another process has read that shop 8 is not blocked, and its block comes after that by hand.
    const slow = blacklistOf(fixture.client(), { blockSeconds: 5, limit: 1 });
    const direct = new Redis(server.url);
    await using _direct = direct;
    const byHand = blacklistOf(direct);
    await slow.record(1, ofShop(8));
    proxy.delay(30);
    const late = slow.record(1, ofShop(8));
    await delay(10);
    await byHand.blacklist.block(ofShop(8), { seconds: 3600 });
    await late;
    assertGreater(await ttl(server, "webhook_blocked_mall_8"), 3000);
  },
);

testWithFixture(
  "What is in Redis expires by itself, and the list is trimmed as it is written",
  async (fixture) => {
    const { server } = fixture;
    const { blacklist, record } = blacklistOf(fixture.client());
    await server.cli("ZADD", LIST, Date.now() - 61_000, "mall_1");
    await server.cli("ZADD", LIST, Date.now() - 30_000, "mall_2");
    await record(4);
    assertLessOrEqual(await ttl(server, BLOCK_KEY), 600);
    assertGreater(await ttl(server, BLOCK_KEY), 590);
    assertGreater(await ttl(server, LIST), 366 * 86_400);
    assertEquals(
      await server.cli("ZRANGE", LIST, 0, -1),
      "mall_2\nmall_7",
    );
    assertEquals(await listed(blacklist), ["mall 7"]);
    await blacklist.unblock(SHOP);
    assertLessOrEqual(await ttl(server, BLOCK_KEY), 60);
    assertEquals(await listed(blacklist), []);
  },
);

testWithFixture(
  "A value that is not of a blacklist blocks no shop, and is replaced by a block",
  async (fixture) => {
    const { server } = fixture;
    const values = [
      "1",
      "null",
      "{",
      "[]",
      "",
      '"x"',
      '{"until":9e15}',
      '{"since":"1","until":2}',
      '{"countedFrom":-1}',
      '{"countedFrom":"1"}',
      '{"countedFrom":1e308}',
      '{"since":1,"until":1e999}',
    ];
    for (const [i, value] of values.entries()) {
      const { blacklist, blockedOf } = blacklistOf(fixture.client());
      const event = ofShop(100 + i);
      const key = `webhook_blocked_mall_${100 + i}`;
      await server.cli("SET", key, value);
      assertEquals(await blacklist.isBlocked(event), false, value);
      assertEquals(await blockedOf(4, event), [false, false, false, true]);
      assertGreater(await ttl(server, key), 0);
    }
    const { blacklist, blockedOf } = blacklistOf(fixture.client());
    await server.cli("RPUSH", BLOCK_KEY, "a list");
    assertEquals(await blacklist.isBlocked(SHOP), false);
    assertEquals(await blockedOf(4), [false, false, false, true]);
    assertEquals(await blacklist.isBlocked(SHOP), true);
    await server.cli(
      "ZADD",
      LIST,
      inSeconds(60) * 1000,
      "no shop",
      9e15,
      "a_x",
    );
    await server.cli("SET", `${LIST}_a_x`, '{"since":1,"until":9000000000000}');
    await server.cli("ZADD", LIST, inSeconds(60) * 1000, "mall_300");
    await server.cli("RPUSH", `${LIST}_mall_300`, "a list");
    assertEquals((await listed(blacklist)).length, values.length + 1);
  },
);

testWithFixture(
  "Shops whose names could meet have blocks of their own",
  async (fixture) => {
    const { blacklist } = blacklistOf(fixture.client());
    const shops = [
      { mallId: "a_1", shopNo: 2 },
      { mallId: "a", shopNo: 12 },
      { mallId: "_", shopNo: 0 },
      { mallId: "a\n_😀", shopNo: 3 },
    ];
    for (const [i, shop] of shops.entries()) {
      await blacklist.block(shop, { seconds: 100 + i });
      for (const other of shops.slice(i + 1)) {
        assertEquals(await blacklist.isBlocked(other), false);
      }
    }
    const all = await Array.fromAsync(
      blacklist.blocked(),
      ({ mallId, shopNo }) => ({ mallId, shopNo }),
    );
    assertEquals(all, shops);
  },
);

testWithFixture(
  "The shops that are blocked are listed in pages, the first to end first, each once, while others come and go",
  async (fixture) => {
    const { server } = fixture;
    const redis = fixture.client();
    const { sender, blacklist } = blacklistOf(redis);
    const base = Date.now() + 60_000;
    const put = (from: number, count: number, until: (i: number) => number) =>
      redis.pipeline(
        Array.from({ length: count }, (_, i) => i).flatMap((i) =>
          [
            ["ZADD", LIST, until(i), `m_${from + i}`],
            [
              "SET",
              `${LIST}_m_${from + i}`,
              JSON.stringify({ since: 1, until: until(i) }),
            ],
          ] as const
        ),
      );
    await put(0, 350, (i) => base + Math.floor(i / 230)); // 230 end together
    const seen: number[] = [];
    for await (const { shopNo } of blacklist.blocked()) {
      seen.push(shopNo);
      if (seen.length === 150) {
        await put(1000, 20, () => base - 1);
        await server.cli("DEL", `${LIST}_m_300`);
        await server.cli("ZREM", LIST, "m_5");
      }
    }
    assertEquals(new Set(seen).size, seen.length);
    assertEquals(
      seen.toSorted((a, b) => a - b),
      Array.from({ length: 350 }, (_, i) => i).filter((i) => i !== 300),
    );
    // As far as it is asked for.
    let calls = sender.sent.length;
    for await (const _ of blacklist.blocked()) break;
    assertEquals(sender.sent.length, calls + 2);
    // However many end together, what was read is read again only a few times.
    await put(2000, 5000, () => base + 2);
    calls = sender.sent.length;
    assertEquals((await listed(blacklist)).length, 5368);
    assertLessOrEqual(sender.sent.length, calls + 30);
  },
);

testWithFixture(
  "Only commands that may run twice are sent, alone and together",
  async (fixture) => {
    const { sender, blacklist, record } = blacklistOf(fixture.client(), {
      isKnownForMs: 0,
    });
    await record(2);
    await record(6);
    await record();
    await blacklist.record({ ...ofShop(9), deliveryId: "twice" });
    await blacklist.isBlocked(SHOP);
    await blacklist.block(SHOP, { seconds: 7, reason: "twice" });
    await listed(blacklist);
    await blacklist.unblock(SHOP);
    await record(6);
    const names = new Set(sender.sent.flat().map(([name]) => name));
    assertEquals([...names].sort(), [
      "EXPIRE",
      "GET",
      "SET",
      "ZADD",
      "ZCOUNT",
      "ZRANGEBYSCORE",
      "ZREMRANGEBYSCORE",
    ]);
    for (const commands of sender.sent) {
      assertEquals(sequenceHazard(commands), undefined, String(commands));
    }
  },
);

testWithFixture(
  "No more shops are remembered than ten thousand, and the oldest is looked up again",
  async (fixture) => {
    const redis = fixture.client();
    const { sender, blacklist } = blacklistOf(redis, { isKnownForMs: 60_000 });
    const shop = (shopNo: number): Shop => ({ mallId: "m", shopNo });
    const block = JSON.stringify({
      since: Date.now(),
      until: Date.now() + 1e6,
    });
    await redis.pipeline(
      Array.from(
        { length: 10_001 },
        (_, i) => ["SET", `${LIST}_m_${i}`, block] as const,
      ),
    );
    const lookUp = async (count: number) => {
      for (let i = 0; i < count; i += 500) {
        const shops = Array.from(
          { length: Math.min(500, count - i) },
          (_, k) => blacklist.isBlocked(shop(i + k)),
        );
        await Promise.all(shops);
      }
    };
    await lookUp(10_000);
    await lookUp(10_000);
    assertEquals(sender.countOf("GET"), 10_000);
    await lookUp(10_001);
    assertEquals(sender.countOf("GET"), 10_001);
    await blacklist.isBlocked(shop(0));
    assertEquals(sender.countOf("GET"), 10_002);
    await blacklist.isBlocked(shop(2));
    assertEquals(sender.countOf("GET"), 10_002);
  },
);

testWithFixture(
  "A block ends by itself, and a window that is still full blocks the shop again with its next event",
  async (fixture) => {
    const { blockedOf } = blacklistOf(fixture.client(), { blockSeconds: 1 });
    assertEquals(await blockedOf(4), [false, false, false, true]);
    assertEquals(await blockedOf(), [true]);
    await delay(1050);
    const again = blacklistOf(fixture.client(), { limit: 5 });
    assertEquals(await again.blockedOf(2), [false, true]);
  },
);

testWithFixture(
  "A clock that fails is replaced by that of the system: only the events whose time it gives are dropped",
  async (fixture) => {
    const clocks = [
      () => {
        throw new Error("no clock");
      },
      () => NaN,
    ];
    for (const [i, clock] of clocks.entries()) {
      const { blacklist } = blacklistOf(fixture.client(), {}, clock);
      const event = ofShop(20 + i);
      const { outcome, isBlocked } = await blacklist.record(event);
      assertEquals([outcome!.status, isBlocked], ["dropped", false]);
      const receivedAt = Date.now();
      const inTime = await blacklist.record({ ...event, receivedAt });
      assertEquals(inTime.outcome!.status, "recorded");
      await blacklist.block(event, { seconds: 60 });
      const blocked = await blacklist.record(event);
      assertEquals(blocked, { isBlocked: true, retryAfterSeconds: 60 });
    }
  },
);

Deno.test("An argument that is invalid is refused by name, with what is expected", async () => {
  await using redis = new Redis("redis://127.0.0.1:1");
  await using recorder = new WebhookRecorder(redis, { retentionSeconds: 100 });
  const wrong: [Record<string, unknown>, string][] = [
    [{ limit: 0 }, "limit is 0, expected a whole number from 1 to 1000000000"],
    [{ limit: 1.5 }, "limit is 1.5, expected"],
    [{ limit: 5n }, "limit is 5n, expected"],
    [{ limit: undefined }, "limit is undefined, expected"],
    [{ windowSeconds: "60" }, 'windowSeconds is "60", expected'],
    [
      { windowSeconds: 101 },
      "windowSeconds is 101, expected at most the recorder's retentionSeconds, 100",
    ],
    [{ blockSeconds: 31_622_401 }, "blockSeconds is 31622401, expected"],
    [{ isKnownForMs: -1 }, "isKnownForMs is -1, expected"],
    [{ whenAway: "throw" }, 'whenAway "throw": expected "allow" or "deny"'],
    [{ prefix: "" }, 'prefix "": expected a string that is not empty'],
    [{ retentionSeconds: 1 }, 'option "retentionSeconds": expected one of'],
  ];
  for (const [option, says] of wrong) {
    assertThrows(
      () => new Blacklist(recorder, { ...OPTIONS, ...option }),
      TypeError,
      says,
    );
  }
  assertThrows(
    () => new Blacklist(recorder, undefined as never),
    TypeError,
    "options is undefined, expected an object { limit, windowSeconds, blockSeconds }",
  );
  assertThrows(
    () => new Blacklist(redis as never, OPTIONS),
    TypeError,
    "recorder is of type object, expected a WebhookRecorder",
  );
  const blacklist = new Blacklist(recorder, OPTIONS);
  const shops: [unknown, string][] = [
    [null, "shop is null, expected an object { mallId, shopNo }"],
    [{ mallId: "", shopNo: 1 }, 'mallId is "", expected'],
    [{ mallId: "m", shopNo: -1 }, "shopNo is -1, expected"],
    [{ mallId: "m", shopNo: "1" }, 'shopNo is "1", expected'],
  ];
  for (const [shop, says] of shops) {
    for (const call of ["isBlocked", "block", "unblock"] as const) {
      await assertRejects(() => blacklist[call](shop as Shop), TypeError, says);
    }
    await assertRejects(
      () => blacklist.record(shop as WebhookEvent),
      TypeError,
    );
  }
  const options: [Record<string, unknown>, string][] = [
    [{ seconds: 0 }, "seconds is 0, expected"],
    [
      { reason: "x".repeat(501) },
      "expected a string of at most 500 characters",
    ],
    [{ until: 1 }, 'option "until": expected one of seconds, reason'],
  ];
  for (const [option, says] of options) {
    await assertRejects(() => blacklist.block(SHOP, option), TypeError, says);
  }
});

Deno.test("A blacklist is printed with what it blocks by", async () => {
  await using redis = new Redis();
  await using recorder = new WebhookRecorder(redis);
  assertEquals(
    Deno.inspect(new Blacklist(recorder, OPTIONS)),
    'Blacklist, more than 3 events in 60 s block a shop for 600 s, "allow" while Redis is away',
  );
});
