// Which hash slot a key has: by known values, by the definition, and by a server.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { hashSlotOf } from "../../../client/servers/hash_slot.ts";
import type { CommandArgument } from "../../../resp/types.ts";
import { Conversation } from "../../support/conversation.ts";
import { freePort } from "../../support/free_port.ts";
import { startRedis } from "../../support/redis_server.ts";

const utf8 = new TextEncoder();

/** CRC16-XMODEM as it is defined, bit by bit. */
function sumByDefinition(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) {
    sum ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) {
      sum = (sum & 0x8000 ? (sum << 1) ^ 0x1021 : sum << 1) & 0xffff;
    }
  }
  return sum;
}

Deno.test("Keys have the hash slots of the specification", () => {
  // https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#appendix-a-crc16-reference-implementation-in-ansi-c
  assertEquals(hashSlotOf("123456789"), 0x31c3);
  assertEquals(hashSlotOf("foo"), 12182); // 0xaf96, of which the highest two bits do not count
  assertEquals(hashSlotOf(""), 0);
});

Deno.test("What is between the first { and the next } counts, unless it is nothing", () => {
  const SAME: readonly (readonly [key: string, counts: string])[] = [
    ["{user1000}.following", "user1000"],
    ["{user1000}.followers", "user1000"],
    ["foo{{bar}}zap", "{bar"],
    ["foo{bar}{zap}", "bar"],
    ["a}b{c}d", "c"],
    ["{café}x", "café"],
    ["é{tag}é", "tag"],
    ["\ud800{tag}", "tag"],
    ["{}{tag}", "{}{tag}"],
    ["foo{}{bar}", "foo{}{bar}"],
    ["foo{bar", "foo{bar"],
    ["foo}bar", "foo}bar"],
    ["foo{", "foo{"],
    ["}{", "}{"],
  ];
  for (const [key, counts] of SAME) {
    const expected = sumByDefinition(utf8.encode(counts)) % 16384;
    assertEquals(hashSlotOf(key), expected, key);
    assertEquals(hashSlotOf(utf8.encode(key)), expected, key);
  }
});

Deno.test("A key of any length and any characters has the hash slot of its bytes", () => {
  const kinds = ["a", "é", "€", "😀", "\ud800", "\u007f", "\u0080", "ÿ"];
  for (let length = 0; length < 20; length++) {
    for (const kind of kinds) {
      for (let at = 0; at <= length; at++) {
        const key = "x".repeat(at) + kind + "y".repeat(length - at);
        const bytes = utf8.encode(key);
        const expected = sumByDefinition(bytes) % 16384;
        assertEquals(hashSlotOf(key), expected, key);
        assertEquals(hashSlotOf(bytes), expected, key);
      }
    }
  }
});

Deno.test("A number has the hash slot of what is sent for it", () => {
  const SENT: readonly (readonly [CommandArgument, string])[] = [
    [0, "0"],
    [-0, "0"],
    [1.5, "1.5"],
    [1e21, "1e+21"],
    [10n ** 30n, "1" + "0".repeat(30)],
    [Infinity, "inf"],
    [-Infinity, "-inf"],
  ];
  for (const [key, text] of SENT) {
    assertEquals(hashSlotOf(key), hashSlotOf(text), text);
  }
});

Deno.test("What cannot be sent gets a hash slot like any other, so that it is refused later", () => {
  for (const key of [NaN, null, undefined, Symbol("k"), true]) {
    assertEquals(typeof hashSlotOf(key as unknown as string), "number");
  }
});

Deno.test("The hash slots of a thousand random keys, text and bytes, are those of CLUSTER KEYSLOT", async () => {
  await using server = await startRedis({
    config: { "cluster-enabled": "yes", "cluster-port": freePort() },
  });
  using node = await Conversation.open(server.port);
  const random = (count: number) => Math.floor(Math.random() * count);
  const pick = (from: string) => [...from][random([...from].length)]!;
  const keys: CommandArgument[] = Array.from({ length: 1000 }, (_, i) => {
    const length = random(60);
    if (i % 3 === 0) {
      const bytes = crypto.getRandomValues(new Uint8Array(length));
      for (let n = 0; n < length / 8; n++) {
        bytes[random(length)] = random(2) ? 0x7b : 0x7d;
      }
      return bytes;
    }
    const from = i % 3 === 1 ? "abc019_:.-{}" : "ab{}é€😀ÿ";
    return Array.from({ length }, () => pick(from)).join("");
  });
  const replies = await node.askAll(
    keys.map((key) => ["CLUSTER", "KEYSLOT", key]),
  );
  keys.forEach((key, i) => {
    assertEquals(hashSlotOf(key), replies[i], Deno.inspect(key));
  });
});
