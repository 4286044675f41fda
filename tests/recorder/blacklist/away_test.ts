// The blacklist while Redis is away, refuses, or loses a reply: what is answered, and that it goes on afterwards.
import "../../support/strict.ts";
import {
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  Blacklist,
  type BlacklistDecision,
  type BlacklistOptions,
  type Command,
  CommandError,
  PipelineError,
  Redis,
  ReplyError,
  type Sender,
  type SendOptions,
  WebhookRecorder,
} from "../../../mod.ts";
import { Random, searchLength } from "../../support/random.ts";
import { startRedis } from "../../support/redis_server.ts";
import { testWithFixture } from "../../support/fixture.ts";
import {
  cardinality,
  Counting,
  EVENT,
  keyOfShop,
  ofShop,
  ttl,
} from "../doubles.ts";

const OPTIONS = { limit: 2, windowSeconds: 60, blockSeconds: 600 };

const blacklistOf = (
  sender: Sender,
  options: Partial<BlacklistOptions> = {},
) => {
  const recorder = new WebhookRecorder(sender);
  return {
    recorder,
    blacklist: new Blacklist(recorder, { ...OPTIONS, ...options }),
  };
};

/** What a decision says, without times and errors. */
const gist = ({ outcome, frequency, isBlocked }: BlacklistDecision) =>
  `${outcome?.status ?? "known"} ${frequency} ${isBlocked}`;

for (const whenAway of ["allow", "deny"] as const) {
  Deno.test(`While Redis is away, whenAway "${whenAway}" answers for a shop that nothing is known of, its events are queued and count later, and a known block stays`, async () => {
    const isDenied = whenAway === "deny";
    await using server = await startRedis({ durable: true });
    await using redis = new Redis(server.url, { retry: false });
    const { recorder, blacklist } = blacklistOf(redis, {
      whenAway,
      isKnownForMs: 100,
    });
    await using _recorder = recorder;
    await blacklist.block(ofShop(8));
    await blacklist.block(ofShop(9), { seconds: 1 });
    await blacklist.record(EVENT);
    await server.stop();
    await delay(110);

    const decision = await blacklist.record(EVENT);
    assertEquals(gist(decision), `queued undefined ${isDenied}`);
    assertEquals(decision.retryAfterSeconds, isDenied ? 1 : undefined);
    assertInstanceOf(decision.error, Error);
    assertEquals(await blacklist.isBlocked(EVENT), isDenied);
    // The first one looks, and the others do not wait.
    for (let i = 0; i < 3; i++) {
      assertEquals(
        gist(await blacklist.record(ofShop(8))),
        "known undefined true",
      );
      assertEquals(await blacklist.isBlocked(ofShop(8)), true);
      await delay(60);
    }
    await delay(1000);
    // The block of shop 9 is over.
    assertEquals(await blacklist.isBlocked(ofShop(9)), isDenied);
    assertEquals(
      gist(await blacklist.record(ofShop(9))),
      `queued undefined ${isDenied}`,
    );
    await assertRejects(() => blacklist.block(EVENT));
    await assertRejects(() => blacklist.unblock(EVENT));
    await assertRejects(() => Array.fromAsync(blacklist.blocked()));

    await server.start();
    await recorder.flush();
    // What was queued counts.
    assertEquals(gist(await blacklist.record(EVENT)), "recorded 3 true");
    assertEquals(await blacklist.isBlocked(ofShop(8)), true);
    assertEquals(await blacklist.isBlocked(ofShop(9)), false);
  });
}

testWithFixture(
  "A server that does not answer holds up an event of a known block for a second, once",
  async (fixture) => {
    const redis = fixture.client();
    const { blacklist } = blacklistOf(redis, { isKnownForMs: 50 });
    await blacklist.block(EVENT);
    fixture.proxy.silence();
    await delay(60);
    const took: number[] = [];
    for (let i = 0; i < 4; i++) {
      const startedAt = performance.now();
      assertEquals((await blacklist.record(EVENT)).isBlocked, true);
      took.push(performance.now() - startedAt);
      await delay(60);
    }
    assertLess(took[0]!, 1500);
    assertLess(Math.max(...took.slice(1)), 50);
  },
);

testWithFixture(
  "Where the block could not be written the answer says blocked, with the error, and the next event tries again",
  async (fixture) => {
    const sender = new Counting(fixture.client());
    const { blacklist } = blacklistOf(sender);
    const denied = new ReplyError("NOPERM this user has no permissions");
    sender.answer = ([name]) => name === "SET" ? denied : undefined;
    for (let i = 1; i <= 2; i++) await blacklist.record(EVENT);
    for (let i = 3; i <= 4; i++) {
      const decision = await blacklist.record(EVENT);
      assertEquals(gist(decision), `recorded ${i} true`);
      assertEquals(decision.retryAfterSeconds, 600);
      assertEquals(decision.error, denied);
      assertEquals(sender.countOf("SET"), i - 2);
    }
    sender.answer = () => undefined;
    assertEquals((await blacklist.record(EVENT)).error, undefined);
    assertEquals(gist(await blacklist.record(EVENT)), "known undefined true");
  },
);

testWithFixture(
  "A block that cannot be listed is a block",
  async (fixture) => {
    await fixture.server.cli("SET", "webhook_blocked", "no set");
    const { blacklist } = blacklistOf(fixture.client());
    const all = Array.from({ length: 3 }, () => blacklist.record(EVENT));
    const last = (await Promise.all(all)).at(-1)!;
    assertEquals(gist(last), "recorded 3 true");
    assertInstanceOf(last.error, ReplyError);
    assertEquals(gist(await blacklist.record(EVENT)), "known undefined true");
    await assertRejects(() => blacklist.block(EVENT), CommandError);
    await assertRejects(
      () => Array.fromAsync(blacklist.blocked()),
      CommandError,
    );
  },
);

testWithFixture(
  "Where the block may not be read the count alone decides over the limit, whenAway below it, and the error is told",
  async (fixture) => {
    for (const whenAway of ["allow", "deny"] as const) {
      const sender = new Counting(fixture.client());
      const { blacklist } = blacklistOf(sender, { whenAway });
      const denied = new ReplyError("NOPERM this user has no permissions");
      sender.answer = ([name]) => name === "GET" ? denied : undefined;
      const event = ofShop(whenAway === "allow" ? 1 : 2);
      for (let i = 1; i <= 4; i++) {
        const decision = await blacklist.record(event);
        const isBlocked = i > 2 || whenAway === "deny";
        assertEquals(gist(decision), `recorded ${i} ${isBlocked}`);
        assertEquals(decision.retryAfterSeconds, isBlocked ? 1 : undefined);
        assertEquals(decision.error, denied);
      }
      assertEquals(sender.countOf("SET"), 0);
      await assertRejects(() => blacklist.isBlocked(event), ReplyError);
    }
  },
);

/** Loses the replies to some commands of a pipeline. */
class Losing extends Counting {
  loses: (command: Command) => boolean = () => false;

  override async pipeline(
    commands: readonly Command[],
    options?: SendOptions,
  ) {
    const replies = await super.pipeline(commands, options);
    const lost = new Error("gone");
    if (!commands.some(this.loses)) return replies;
    throw new PipelineError(
      replies.map((reply, i) => this.loses(commands[i]!) ? lost : reply) as [],
      lost,
    );
  }
}

testWithFixture(
  "Where the reply of the look or of the count is lost, whenAway decides, unless what has come back says that it is blocked",
  async (fixture) => {
    for (const whenAway of ["allow", "deny"] as const) {
      const isDenied = whenAway === "deny";
      const sender = new Losing(fixture.client());
      const { blacklist, recorder } = blacklistOf(sender, { whenAway });
      const event = ofShop(isDenied ? 1 : 2);
      sender.loses = ([name]) => name === "ZCOUNT";
      const uncounted = await blacklist.record(event);
      assertEquals(gist(uncounted), `recorded undefined ${isDenied}`);
      assertEquals(`${uncounted.error}`, "Error: gone");
      sender.loses = ([name]) => name === "GET";
      const unread = await blacklist.record(event);
      assertEquals(gist(unread), `recorded 2 ${isDenied}`);
      assertEquals(`${unread.error}`, "Error: gone");
      assertEquals(gist(await blacklist.record(event)), "recorded 3 true");
      assertEquals(sender.countOf("SET"), 0);
      const other = blacklistOf(fixture.client());
      await other.blacklist.block(event);
      sender.loses = ([name]) => name === "ZCOUNT" || name === "ZADD";
      assertEquals(
        gist(await blacklist.record(event)),
        "queued undefined true",
      );
      sender.loses = () => false;
      await recorder.close();
    }
  },
);

testWithFixture(
  "A client that is closed is not Redis that is away",
  async (fixture) => {
    const redis = fixture.client();
    const { blacklist, recorder } = blacklistOf(redis);
    await redis.close();
    assertEquals(
      gist(await blacklist.record(EVENT)),
      "dropped undefined false",
    );
    await assertRejects(() => blacklist.isBlocked(EVENT));
    await recorder.close();
    await assertRejects(() => blacklist.record(EVENT), TypeError, "is closed");
  },
);

testWithFixture(
  "Connections that are cut at random change no decision and nothing in Redis",
  async (fixture) => {
    const random = new Random();
    const { proxy, server } = fixture;
    const redis = fixture.client({ replyTimeoutMs: 300 });
    const { blacklist, recorder } = blacklistOf(redis, { isKnownForMs: 0 });
    const direct = new Redis(server.url);
    await using _direct = direct;
    let isOver = false;
    let cuts = 0;
    const cutting = (async () => {
      for (; !isOver; cuts++) {
        proxy.cut(random.below(100), { scope: "open" });
        await delay(random.below(30));
      }
    })();
    const shops = searchLength(3);
    for (let shopNo = 0; shopNo < shops; shopNo++) {
      const shop = ofShop(shopNo);
      const decisions: BlacklistDecision[] = [];
      for (let i = 0; i < 4; i++) decisions.push(await blacklist.record(shop));
      await recorder.flush();
      const recorded = decisions.filter(({ outcome }) => outcome !== undefined);
      assertEquals(
        await cardinality(server, keyOfShop(shopNo)),
        recorded.length,
      );
      // What was queued was not decided by its count.
      const counted = decisions.filter(({ frequency }) =>
        frequency !== undefined
      );
      for (const { frequency, isBlocked } of counted) {
        assertEquals(isBlocked, frequency! > OPTIONS.limit);
      }
      const key = `webhook_blocked_mall_${shopNo}`;
      if (decisions.some(({ isBlocked, error }) => isBlocked && !error)) {
        assertEquals(await direct.send(["EXISTS", key]), 1);
      }
      await again(() => blacklist.block(shop, { seconds: 99, reason: "r" }));
      const { since, ...block } = JSON.parse(
        await direct.send(["GET", key]) ?? "",
      );
      assertEquals(block, {
        until: since + 99_000,
        reason: "r",
        isManual: true,
      });
      assertLess(await ttl(server, key), 100);
      assertEquals(
        await direct.send(["ZSCORE", "webhook_blocked", `mall_${shopNo}`]),
        String(block.until),
      );
      await again(() => blacklist.unblock(shop));
      assertEquals(
        Object.keys(JSON.parse(await direct.send(["GET", key]) ?? "")),
        ["countedFrom"],
      );
    }
    isOver = true;
    await cutting;
    proxy.pass();
    console.log(`${cuts} cuts, ${redis.stats().replays} replays`);
    assertEquals(await Array.fromAsync(blacklist.blocked()), []);
    await recorder.close();
  },
);

/** By hand it is tried again. */
async function again(write: () => Promise<void>): Promise<void> {
  for (let attempts = 1;; attempts++) {
    try {
      return await write();
    } catch (error) {
      if (attempts === 10) throw error;
    }
  }
}
