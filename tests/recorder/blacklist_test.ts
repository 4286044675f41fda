// The blacklist on a real server: what it decides, what that costs, and what it keeps in Redis.
import "../support/strict.ts";
import {
  assert,
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
  CommandError,
  type Redis,
  WebhookRecorder,
} from "../../mod.ts";
import { testWithFixture } from "../support/fixture.ts";
import { cardinality, Counting, EVENT, KEY, ofShop } from "./doubles.ts";

const OPTIONS = { limit: 3, windowSeconds: 60, blockSeconds: 600 };
const BLOCK_KEY = "webhook_blocked_mall_7";
const LIST = "webhook_blocked";

/** A blacklist, and what is sent for it. */
function blacklistOf(redis: Redis, options: Partial<BlacklistOptions> = {}) {
  const sender = new Counting(redis);
  const recorder = new WebhookRecorder(sender);
  return {
    sender,
    recorder,
    blacklist: new Blacklist(recorder, { ...OPTIONS, ...options }),
  };
}

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
    assertEquals(await blacklist.isBlocked(EVENT), false);
    assertEquals(await blacklist.record(EVENT), {
      outcome: { status: "recorded", count: 1, frequency: 4 },
      frequency: 4,
      isBlocked: true,
      retryAfterSeconds: 600,
    });
    assertEquals(await blacklist.isBlocked(EVENT), true);
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
