// Records, pairs and numbers of replies.

import "../../support/strict.ts";

import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { asNumber, asPairs, asRecord } from "@unzombie/redis/replies";
import { Redis, type Reply, ReplyError } from "../../../mod.ts";
import { startRedis } from "../../support/redis_server.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("A record has the values of a flat array by their names", () => {
  const record: Record<string, string> = asRecord(["a", "1", "b", "2"]);
  assertEquals(record, { a: "1", b: "2" });
  assertEquals(asRecord([]), {});
  assertEquals(asRecord(["a", "1", "a", "2"]), { a: "2" });
});

Deno.test("A record has no fields but those of the reply", () => {
  const record = asRecord(["__proto__", "p", "constructor", "c"]);
  assertEquals(Object.entries(record), [["__proto__", "p"], [
    "constructor",
    "c",
  ]]);
  assertEquals(Object.getPrototypeOf(record), null);
  assertEquals(record["toString"], undefined);
  assertEquals(({} as Record<string, unknown>)["p"], undefined);
});

Deno.test("The names of a record are text where the values are bytes", () => {
  const record: Record<string, Uint8Array> = asRecord([
    bytes("\uFEFFé"),
    bytes("1"),
  ]);
  assertEquals(record, { "\uFEFFé": bytes("1") });
  assertThrows(
    () => asRecord([new Uint8Array([0xff]), bytes("1")]),
    TypeError,
    "Cannot make a record of a reply: expected a name in UTF-8, got bytes",
  );
});

Deno.test("Pairs keep the order of a flat array", () => {
  const pairs: [string, string][] = asPairs(["b", "1", "a", "2"]);
  assertEquals(pairs, [["b", "1"], ["a", "2"]]);
  assertEquals(asPairs([bytes("b"), bytes("1")]), [[bytes("b"), bytes("1")]]);
  assertEquals(asPairs([]), []);
});

Deno.test("What is no flat array makes no record and no pairs", () => {
  for (
    const [reply, says] of [
      [null, "expected an array, got null"],
      ["text", 'expected an array, got "text"'],
      [7, "expected an array, got 7"],
      [bytes("ab"), 'expected an array, got bytes "ab"'],
      [["a"], "expected an even number of elements, got an array of 1"],
      [new ReplyError("ERR no"), "expected an array, got an error: ERR no"],
    ] satisfies [Reply, string][]
  ) {
    assertThrows(
      () => asRecord(reply),
      TypeError,
      `a record of a reply: ${says}`,
    );
    assertThrows(() => asPairs(reply), TypeError, `pairs of a reply: ${says}`);
  }
  assertThrows(() => asRecord([5, "a"]), TypeError, "expected a name, got 5");
});

Deno.test("A number is made of every form in which Redis writes one", () => {
  for (
    const [reply, number] of [
      [0, 0],
      [-7, -7],
      [2n ** 60n, 2 ** 60],
      ["0", 0],
      ["-0.5", -0.5],
      ["+3", 3],
      ["3.", 3],
      ["1.7976931348623157e+308", Number.MAX_VALUE],
      ["5e-324", Number.MIN_VALUE],
      ["166274.1516", 166274.1516],
      ["inf", Infinity],
      ["+inf", Infinity],
      ["-inf", -Infinity],
      ["Infinity", Infinity],
      [bytes("1.5"), 1.5],
      [bytes("-inf"), -Infinity],
    ] satisfies [Reply, number][]
  ) {
    assertEquals(asNumber(reply), number);
  }
});

Deno.test("What is no number is named by the error", () => {
  const long = "9".repeat(40) + "x";
  for (
    const [reply, got] of [
      ["", '""'],
      [" 1", '" 1"'],
      ["1\n", '"1\\n"'],
      ["0x10", '"0x10"'],
      ["nan", '"nan"'],
      ["NaN", '"NaN"'],
      ["1,5", '"1,5"'],
      ["e5", '"e5"'],
      ["abc", '"abc"'],
      [long, `"${"9".repeat(40)}"...`],
      [bytes("abc"), 'bytes "abc"'],
      [null, "null"],
      [["1"], "an array of 1"],
    ] satisfies [Reply, string][]
  ) {
    const error = assertThrows(() => asNumber(reply), TypeError);
    assertEquals(
      error.message,
      `Cannot make a number of a reply: got ${got}`,
    );
  }
  const error = assertThrows(() => asNumber(new ReplyError("ERR no")));
  assertInstanceOf(error, TypeError);
  assertInstanceOf(error.cause, ReplyError);
});

Deno.test("Replies of a server become records, pairs and numbers, as text and as bytes", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await redis.pipeline([
    ["HSET", "h", "__proto__", "x", "n", 1.5],
    ["ZADD", "z", 1.5, "a", "-inf", "b"],
  ]);
  for (const binary of [false, true]) {
    const value = (text: string) => binary ? bytes(text) : text;
    const [hash, scores] = await redis.pipeline([
      ["HGETALL", "h"],
      ["ZRANGE", "z", 0, -1, "WITHSCORES"],
    ], { binary });
    const record = asRecord(hash);
    assertEquals(Object.keys(record).sort(), ["__proto__", "n"]);
    assertEquals(record["__proto__"], value("x"));
    assertEquals(asNumber(record["n"]!), 1.5);
    assertEquals(
      asPairs(scores).map(([member, score]) => [member, asNumber(score)]),
      [[value("b"), -Infinity], [value("a"), 1.5]],
    );
  }
  const config = asRecord(await redis.send(["CONFIG", "GET", "maxmemory"]));
  assertEquals(config, { maxmemory: "0" });
});
