// Bytes to replies: what is a reply, however its bytes are cut, and what is none.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { ProtocolError, ReplyError } from "../../resp/errors.ts";
import { LIMITS, type ParserLimits } from "../../resp/limits.ts";
import { ReplyParser } from "../../resp/parser.ts";
import type { Reply } from "../../resp/types.ts";
import { assertSameBytes, concat } from "../support/bytes.ts";
import { Random, searchLength } from "../support/random.ts";

const KIB = 1024;
const MIB = 1024 * 1024;

const utf8 = new TextEncoder();
const decodeAlone = (bytes: Uint8Array): string =>
  new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

/** Text as UTF-8; numbers as the bytes they are. */
function bytes(...pieces: (string | number | Uint8Array)[]): Uint8Array {
  const parts = pieces.map((piece) =>
    typeof piece === "string"
      ? utf8.encode(piece)
      : typeof piece === "number"
      ? Uint8Array.of(piece)
      : piece
  );
  return concat(...parts);
}

const bulk = (body: Uint8Array): Uint8Array =>
  bytes(`$${body.length}\r\n`, body, "\r\n");

/** A reply whose bulk strings are bytes, as it is in text mode. */
const inText = (reply: Reply): Reply =>
  reply instanceof Uint8Array
    ? decodeAlone(reply)
    : Array.isArray(reply)
    ? reply.map(inText)
    : reply;

/** Errors are equal only if they are the same object, so their text stands for them. */
const comparable = (reply: Reply | undefined): unknown =>
  reply instanceof ReplyError
    ? { error: reply.message, code: reply.code }
    : Array.isArray(reply)
    ? reply.map(comparable)
    : reply;

const assertReply = (
  actual: Reply | undefined,
  expected: Reply | undefined,
  message?: string,
): void => assertEquals(comparable(actual), comparable(expected), message);

/** Two ways for bytes to get into a parser. */
const WAYS: Record<string, (parser: ReplyParser, piece: Uint8Array) => void> = {
  feed: (parser, piece) => parser.feed(piece),
  reserve: (parser, piece) => {
    while (piece.length > 0) {
      const room = parser.reserve();
      assert(room.length > 0, "reserve() gave no room");
      const count = Math.min(room.length, piece.length);
      room.set(piece.subarray(0, count));
      parser.commit(count);
      piece = piece.subarray(count);
    }
  },
};

/** The bytes whole, each alone, and in two and three pieces cut at every place. */
function* cuts(whole: Uint8Array): Generator<Uint8Array[]> {
  const at = (...ends: number[]) =>
    [...ends, whole.length].map((end, i) => whole.slice(ends[i - 1] ?? 0, end));
  yield at();
  yield Array.from(whole, (byte) => Uint8Array.of(byte));
  for (let i = 1; i < whole.length; i++) {
    yield at(i);
    if (whole.length > 60) continue;
    for (let j = i + 1; j < whole.length; j++) yield at(i, j);
  }
}

/** Replies, with bulk strings as bytes, and how they look on the wire. */
const VALID: readonly { title: string; wire: Uint8Array; reply: Reply }[] = [
  { title: "OK", wire: bytes("+OK\r\n"), reply: "OK" },
  { title: "an empty simple string", wire: bytes("+\r\n"), reply: "" },
  { title: "O", wire: bytes("+O\r\n"), reply: "O" },
  { title: "OKAY", wire: bytes("+OKAY\r\n"), reply: "OKAY" },
  { title: "OL", wire: bytes("+OL\r\n"), reply: "OL" },
  {
    title: "a simple string of type bytes",
    wire: bytes("++-:$*\t\r\n"),
    reply: "+-:$*\t",
  },
  { title: "a simple string in UTF-8", wire: bytes("+é😀\r\n"), reply: "é😀" },
  {
    title: "a simple string that is no UTF-8",
    wire: bytes("+a", 0xff, "b\r\n"),
    reply: "a\ufffdb",
  },
  {
    title: "an error",
    wire: bytes("-WRONGTYPE Operation against a key\r\n"),
    reply: new ReplyError("WRONGTYPE Operation against a key"),
  },
  { title: "an empty error", wire: bytes("-\r\n"), reply: new ReplyError("") },
  { title: "0", wire: bytes(":0\r\n"), reply: 0 },
  { title: "-0", wire: bytes(":-0\r\n"), reply: 0 },
  { title: "a signed integer", wire: bytes(":+7\r\n"), reply: 7 },
  { title: "a negative integer", wire: bytes(":-12\r\n"), reply: -12 },
  { title: "leading zeros", wire: bytes(":007\r\n"), reply: 7 },
  {
    title: "many leading zeros",
    wire: bytes(":0000000000000000005\r\n"),
    reply: 5,
  },
  {
    title: "2^53 - 1",
    wire: bytes(":9007199254740991\r\n"),
    reply: Number.MAX_SAFE_INTEGER,
  },
  { title: "2^53", wire: bytes(":9007199254740992\r\n"), reply: 2n ** 53n },
  {
    title: "2^53 + 1",
    wire: bytes(":9007199254740993\r\n"),
    reply: 2n ** 53n + 1n,
  },
  {
    title: "-(2^53 - 1)",
    wire: bytes(":-9007199254740991\r\n"),
    reply: Number.MIN_SAFE_INTEGER,
  },
  {
    title: "-2^53",
    wire: bytes(":-9007199254740992\r\n"),
    reply: -(2n ** 53n),
  },
  {
    title: "15 digits",
    wire: bytes(":999999999999999\r\n"),
    reply: 999_999_999_999_999,
  },
  {
    title: "16 digits",
    wire: bytes(":1000000000000000\r\n"),
    reply: 1_000_000_000_000_000,
  },
  {
    title: "2^63 - 1",
    wire: bytes(":9223372036854775807\r\n"),
    reply: 2n ** 63n - 1n,
  },
  {
    title: "-2^63",
    wire: bytes(":-9223372036854775808\r\n"),
    reply: -(2n ** 63n),
  },
  { title: "an empty bulk string", wire: bulk(bytes()), reply: bytes() },
  { title: "a bulk string", wire: bulk(bytes("hello")), reply: bytes("hello") },
  {
    title: "a bulk string of line ends",
    wire: bulk(bytes("\r\n\r\n")),
    reply: bytes("\r\n\r\n"),
  },
  {
    title: "a bulk string that looks like a reply",
    wire: bulk(bytes(":12\r\n$-1\r\n")),
    reply: bytes(":12\r\n$-1\r\n"),
  },
  {
    title: "a bulk string in UTF-8",
    wire: bulk(bytes("한국어 😀")),
    reply: bytes("한국어 😀"),
  },
  {
    title: "a bulk string that begins with a byte order mark",
    wire: bulk(bytes(0xef, 0xbb, 0xbf, "a")),
    reply: bytes(0xef, 0xbb, 0xbf, "a"),
  },
  {
    title: "a bulk string that is no UTF-8",
    wire: bulk(bytes(0xc3, 0xff, 0, 0xf0, 0x9f, 0x98)),
    reply: bytes(0xc3, 0xff, 0, 0xf0, 0x9f, 0x98),
  },
  {
    title: "a bulk string whose length has leading zeros",
    wire: bytes("$003\r\nabc\r\n"),
    reply: bytes("abc"),
  },
  { title: "a null bulk string", wire: bytes("$-1\r\n"), reply: null },
  { title: "a null array", wire: bytes("*-1\r\n"), reply: null },
  { title: "an empty array", wire: bytes("*0\r\n"), reply: [] },
  {
    title: "an array of every type",
    wire: bytes(
      "*7\r\n+OK\r\n-ERR no\r\n:1\r\n$1\r\nx\r\n$-1\r\n*-1\r\n*0\r\n",
    ),
    reply: [
      "OK",
      new ReplyError("ERR no"),
      1,
      bytes("x"),
      null,
      null,
      [],
    ],
  },
  {
    title: "an error in the middle of an array in an array",
    wire: bytes("*3\r\n:1\r\n*3\r\n:2\r\n-OOPS two\r\n:3\r\n:4\r\n"),
    reply: [1, [2, new ReplyError("OOPS two"), 3], 4],
  },
  {
    title: "arrays that end together",
    wire: bytes("*1\r\n*1\r\n*2\r\n*0\r\n*1\r\n:1\r\n"),
    reply: [[[[], [1]]]],
  },
  {
    title: "a stray byte beside an incomplete character in an array",
    wire: bytes(
      "*3\r\n",
      bulk(bytes(0x80)),
      bulk(bytes("é")),
      bulk(bytes(0xc3)),
    ),
    reply: [bytes(0x80), bytes("é"), bytes(0xc3)],
  },
];

for (const [way, put] of Object.entries(WAYS)) {
  for (const binary of [false, true]) {
    const mode = binary ? "bytes" : "text";
    Deno.test(`ReplyParser reads every reply as ${mode}, cut at any byte, by ${way}`, async (t) => {
      for (const { title, wire, reply } of VALID) {
        await t.step(title, () => {
          const expected = binary ? reply : inText(reply);
          for (const pieces of cuts(wire)) {
            const parser = new ReplyParser();
            let received = 0;
            for (const piece of pieces) {
              assertEquals(parser.next(binary), undefined);
              assertEquals(parser.partialLength, received);
              put(parser, piece);
              received += piece.length;
              assertEquals(parser.partialLength, received);
            }
            assertReply(parser.next(binary), expected);
            assertEquals(parser.partialLength, 0);
            assertEquals(parser.next(binary), undefined);
          }
        });
      }
    });
  }
}

Deno.test("ReplyParser reads replies that follow each other, each in the mode asked for", () => {
  const wire = bytes(...VALID.map((vector) => vector.wire));
  for (const size of [1, 2, 3, 7, 64, wire.length]) {
    const parser = new ReplyParser();
    let read = 0;
    for (let at = 0; at < wire.length; at += size) {
      parser.feed(wire.subarray(at, at + size));
      while (true) {
        // The mode is that of the reply's first byte, whatever is asked later.
        const begun = parser.partialLength > 0;
        const binary = begun && read % 2 === 0;
        const reply = parser.next(binary);
        if (reply === undefined) break;
        const expected = VALID[read]!.reply;
        const first = read % 2 === 0 ? expected : inText(expected);
        assertReply(reply, first, VALID[read]!.title);
        read++;
      }
    }
    assertEquals(read, VALID.length);
  }
});

Deno.test("ReplyParser keeps the mode in which a reply began", () => {
  const wire = bytes("*3\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n$1\r\nc\r\n");
  const reply = [bytes("a"), [bytes("b")], bytes("c")];
  for (let cut = 1; cut < wire.length; cut++) {
    for (const binary of [true, false]) {
      const parser = new ReplyParser();
      parser.feed(wire.subarray(0, cut));
      assertEquals(parser.next(binary), undefined);
      parser.feed(bytes(wire.subarray(cut), "$1\r\nd\r\n"));
      assertEquals(parser.next(!binary), binary ? reply : inText(reply));
      assertEquals(parser.next(!binary), binary ? "d" : bytes("d"));
    }
  }
});

Deno.test("ReplyParser copies what it is fed, and what it gives away is never written again", () => {
  const parser = new ReplyParser();
  const wire = bulk(bytes("first"));
  parser.feed(wire);
  wire.fill(0);
  const first = parser.next(true);
  for (let i = 0; i < 50; i++) {
    parser.feed(bulk(new Uint8Array(60 * KIB).fill(i)));
    parser.next(true);
  }
  assertEquals(first, bytes("first"));
});

/** What is no reply, and what the error must say of it. */
const INVALID: readonly { title: string; wire: Uint8Array; says: string }[] = [
  { title: "an unknown type", wire: bytes("x1\r\n"), says: '"x"' },
  { title: "a line end alone", wire: bytes("\r\n"), says: "0x0d" },
  { title: "a zero byte", wire: bytes(0), says: "0x00" },
  { title: "RESP3's null", wire: bytes("_\r\n"), says: '"_"' },
  { title: "RESP3's map", wire: bytes("%1\r\n+a\r\n:1\r\n"), says: '"%"' },
  { title: "RESP3's push", wire: bytes(">1\r\n+a\r\n"), says: '">"' },
  {
    title: "a simple string with LF alone",
    wire: bytes("+OK\n"),
    says: "0x0a",
  },
  {
    title: "a simple string with CR alone",
    wire: bytes("+a\rb\r\n"),
    says: '"b"',
  },
  {
    title: "a simple string with CR twice",
    wire: bytes("+a\r\r\n"),
    says: "0x0d",
  },
  { title: "an error with LF alone", wire: bytes("-ERR\n"), says: "0x0a" },
  { title: "an integer without digits", wire: bytes(":\r\n"), says: "0x0d" },
  { title: "a sign alone", wire: bytes(":-\r\n"), says: "0x0d" },
  { title: "two signs", wire: bytes(":--1\r\n"), says: '"-"' },
  { title: "a sign in the middle", wire: bytes(":1-\r\n"), says: '"-"' },
  { title: "a fraction", wire: bytes(":1.5\r\n"), says: '"."' },
  { title: "a letter", wire: bytes(":1a\r\n"), says: '"a"' },
  { title: "a space before", wire: bytes(": 1\r\n"), says: "0x20" },
  { title: "a space behind", wire: bytes(":1 \r\n"), says: "0x20" },
  { title: "an integer with LF alone", wire: bytes(":1\n"), says: "0x0a" },
  { title: "an integer with CR alone", wire: bytes(":1\r2\r\n"), says: "LF" },
  { title: "2^63", wire: bytes(":9223372036854775808\r\n"), says: "64 bits" },
  {
    title: "-2^63 - 1",
    wire: bytes(":-9223372036854775809\r\n"),
    says: "64 bits",
  },
  {
    title: "20 digits",
    wire: bytes(":10000000000000000000\r\n"),
    says: "19 digits",
  },
  {
    title: "20 zeros",
    wire: bytes(":00000000000000000000\r\n"),
    says: "19 digits",
  },
  {
    title: "a bulk string without a length",
    wire: bytes("$\r\n\r\n"),
    says: "0x0d",
  },
  { title: "a bulk length of -2", wire: bytes("$-2\r\n"), says: "-2" },
  { title: "a bulk length of -0", wire: bytes("$-0\r\n\r\n"), says: "-0" },
  { title: "a bulk length of +1", wire: bytes("$+1\r\na\r\n"), says: '"+"' },
  { title: "a bulk length of 1x", wire: bytes("$1x\r\na\r\n"), says: '"x"' },
  { title: "a streamed string", wire: bytes("$?\r\n"), says: '"?"' },
  {
    title: "a bulk string that is too long",
    wire: bytes("$1\r\nab\r\n"),
    says: '"b"',
  },
  {
    title: "a bulk string that is too short",
    wire: bytes("$3\r\nab\r\n\r\n"),
    says: "0x0a",
  },
  {
    title: "a bulk string with LF alone",
    wire: bytes("$1\r\na\n\n"),
    says: "0x0a",
  },
  {
    title: "a bulk string with CR alone",
    wire: bytes("$1\r\na\rb"),
    says: '"b"',
  },
  { title: "a null with bytes", wire: bytes("$-1\r\n\r\n"), says: "0x0d" },
  { title: "an array length of -2", wire: bytes("*-2\r\n"), says: "-2" },
  { title: "an array length of +1", wire: bytes("*+1\r\n:1\r\n"), says: '"+"' },
  { title: "an array without a length", wire: bytes("*\r\n"), says: "0x0d" },
  { title: "a bad element", wire: bytes("*2\r\n:1\r\nx"), says: '"x"' },
  {
    title: "a bad element of an element",
    wire: bytes("*1\r\n*1\r\n:x\r\n"),
    says: '"x"',
  },
  {
    title: "a bulk string beyond 2^63",
    wire: bytes("$9999999999999999999\r\n"),
    says: "maxBulkLength",
  },
  {
    title: "an array beyond 2^63",
    wire: bytes("*9999999999999999999\r\n"),
    says: "maxElements",
  },
];

Deno.test("ReplyParser refuses what is no RESP2, cut at any byte", async (t) => {
  for (const { title, wire, says } of INVALID) {
    await t.step(title, () => {
      for (const put of Object.values(WAYS)) {
        for (const binary of [false, true]) {
          for (const pieces of cuts(wire)) {
            const parser = new ReplyParser();
            // A null followed by bytes is a reply, and then none.
            let isFirst = true;
            const error = assertThrows(() => {
              for (const piece of pieces) {
                put(parser, piece);
                while (true) {
                  const reply = parser.next(binary);
                  if (reply === undefined) break;
                  assert(isFirst && reply === null, "a reply came of it");
                  isFirst = false;
                }
              }
            }, ProtocolError);
            assertStringIncludes(error.message, says);
          }
        }
      }
    });
  }
});

Deno.test("ReplyParser names an HTTP server and TLS for what they are", () => {
  const vectors: [Uint8Array, string][] = [
    [bytes("HTTP/1.1 400 Bad Request\r\n\r\n"), "HTTP server"],
    [bytes(0x15, 3, 3, 0, 2, 2, 70), "rediss://"],
    [bytes(0x16, 3, 3, 0, 80, 2), "rediss://"],
  ];
  for (const [wire, hint] of vectors) {
    const parser = new ReplyParser();
    parser.feed(wire);
    const { message } = assertThrows(() => parser.next(), ProtocolError);
    assertStringIncludes(message, hint);
  }
});

Deno.test("ReplyParser quotes only the beginning of what is no reply", () => {
  const parser = new ReplyParser();
  parser.feed(bytes("<html>", new Uint8Array(50 * KIB).fill(0x78)));
  const { message } = assertThrows(() => parser.next(), ProtocolError);
  assertStringIncludes(message, "<html>");
  assertLess(message.length, 200);
});

Deno.test("ReplyParser throws the same error again after the first", () => {
  const parser = new ReplyParser();
  parser.feed(bytes(":1\r\n!:2\r\n"));
  assertEquals(parser.next(), 1);
  const first = assertThrows(() => parser.next(), ProtocolError);
  assertStrictEquals(assertThrows(() => parser.next()), first);
  assertStrictEquals(assertThrows(() => parser.next(true)), first);
  assertStrictEquals(assertThrows(() => parser.feed(bytes(":3\r\n"))), first);
  assertStrictEquals(assertThrows(() => parser.feed(bytes())), first);
  assertStrictEquals(assertThrows(() => parser.next()), first);
});

Deno.test("ReplyParser offers no room for bytes after an error", () => {
  const parser = new ReplyParser();
  parser.feed(bytes("!"));
  const first = assertThrows(() => parser.next(), ProtocolError);
  assertStrictEquals(assertThrows(() => parser.reserve()), first);
  assertStrictEquals(assertThrows(() => parser.commit(1)), first);
});

const nested = (depth: number) => bytes("*1\r\n".repeat(depth), ":1\r\n");

/** Limits, the largest reply within each, and the smallest over it. */
const LIMITED: readonly {
  limits: ParserLimits;
  within: Uint8Array;
  over: Uint8Array;
}[] = [
  {
    limits: { maxBulkLength: 5 },
    within: bulk(bytes("12345")),
    over: bytes("$6\r\n"),
  },
  {
    limits: { maxBulkLength: 0 },
    within: bulk(bytes()),
    over: bytes("$1\r\n"),
  },
  {
    limits: { maxBulkLength: 20 * KIB },
    within: bulk(new Uint8Array(20 * KIB)),
    over: bytes(`$${20 * KIB + 1}\r\n`),
  },
  {
    limits: { maxLineLength: 5 },
    within: bytes("+12345\r\n"),
    over: bytes("+123456"),
  },
  {
    limits: { maxLineLength: 5 },
    within: bytes("-12345\r\n"),
    over: bytes("-123456\r\n"),
  },
  {
    limits: { maxElements: 3 },
    within: bytes("*3\r\n:1\r\n:2\r\n:3\r\n"),
    over: bytes("*4\r\n"),
  },
  {
    limits: { maxElements: 3 },
    within: bytes("*1\r\n*2\r\n:1\r\n:2\r\n"),
    over: bytes("*2\r\n*1\r\n:1\r\n*1\r\n"),
  },
  { limits: { maxDepth: 3 }, within: nested(3), over: nested(4) },
  { limits: { maxDepth: 1 }, within: nested(1), over: nested(2) },
  {
    limits: { maxReplyLength: 9 },
    within: bytes("$3\r\nabc\r\n"),
    over: bytes("$4\r\nabcd\r\n"),
  },
  {
    limits: { maxReplyLength: 30 },
    within: bulk(bytes("x".repeat(23))),
    over: bytes("$27\r\n"),
  },
  {
    limits: { maxReplyLength: 12 },
    within: bytes("*2\r\n:1\r\n:2\r\n"),
    over: bytes("*2\r\n:1\r\n:23\r\n"),
  },
  {
    limits: { maxReplyLength: 40 * KIB },
    within: bytes("*2\r\n", bulk(new Uint8Array(20 * KIB)), ":1\r\n"),
    over: bytes(
      "*2\r\n",
      bulk(new Uint8Array(20 * KIB)),
      bulk(new Uint8Array(20 * KIB)),
    ),
  },
  {
    limits: { maxMemory: 32 + 5 },
    within: bulk(bytes("12345")),
    over: bulk(bytes("123456")),
  },
  {
    limits: { maxMemory: 32 + 2000 },
    within: bulk(bytes("x".repeat(2000))),
    over: bulk(bytes("x".repeat(2001))),
  },
  {
    limits: { maxMemory: 32 + 2 * 4 },
    within: bulk(bytes("éé")),
    over: bulk(bytes("ééa")),
  },
  {
    limits: { maxMemory: 32 + 3 },
    within: bytes("+abc\r\n"),
    over: bytes("+abcd\r\n"),
  },
  {
    limits: { maxMemory: 1 },
    within: bytes("+OK\r\n"),
    over: bytes("+KO\r\n"),
  },
  {
    limits: { maxMemory: 32 + 2 * 2 },
    within: bytes("+é\r\n"),
    over: bytes("+éa\r\n"),
  },
  {
    limits: { maxMemory: 64 + 3 * 16 },
    within: bytes("*3\r\n:1\r\n:2\r\n$-1\r\n"),
    over: bytes("*4\r\n"),
  },
  {
    limits: { maxMemory: 64 + 16 + 64 + 16 },
    within: bytes("*1\r\n*1\r\n:1\r\n"),
    over: bytes("*1\r\n*1\r\n*0\r\n"),
  },
  {
    limits: { maxMemory: 64 + 2 * 16 + 2 * (32 + 1) },
    within: bytes("*2\r\n$1\r\na\r\n+b\r\n"),
    over: bytes("*2\r\n$1\r\na\r\n+bc\r\n"),
  },
  {
    limits: { maxMemory: 64 + 101 * 16 + 32 + 3 },
    within: bytes("*1\r\n-ERR\r\n"),
    over: bytes("*1\r\n-ERRO\r\n"),
  },
  {
    limits: { maxMemory: 15 },
    within: bytes(":-2147483647\r\n"),
    over: bytes(":2147483648\r\n"),
  },
  {
    limits: { maxMemory: 39 },
    within: bytes(":999999999999999\r\n"),
    over: bytes(":-9223372036854775807\r\n"),
  },
  {
    limits: { maxMemory: 32 + 70 * KIB },
    within: bulk(new Uint8Array(70 * KIB)),
    over: bulk(new Uint8Array(70 * KIB + 1)),
  },
  {
    limits: { maxMemory: 100 * KIB },
    within: bulk(new Uint8Array(99 * KIB)),
    over: bytes(`$${100 * KIB + 1}\r\n`),
  },
  {
    limits: { maxMemory: 32 + 2 * (70 * KIB + 2) },
    within: bulk(bytes(new Uint8Array(70 * KIB), "é")),
    over: bulk(bytes(new Uint8Array(70 * KIB), "éa")),
  },
];

Deno.test("ReplyParser accepts a reply up to each limit and names the limit that one goes over", async (t) => {
  for (const { limits, within, over } of LIMITED) {
    const [name, value] = Object.entries(limits)[0]!;
    await t.step(`${name} ${value}, ${over.length} bytes`, () => {
      for (const size of [1, 7, 1000, over.length]) {
        for (const put of Object.values(WAYS)) {
          const parser = new ReplyParser(limits);
          const receive = (wire: Uint8Array): number => {
            let replies = 0;
            for (let at = 0; at < wire.length; at += size) {
              put(parser, wire.subarray(at, at + size));
              while (parser.next() !== undefined) replies++;
            }
            return replies;
          };
          // Limits are those of one reply, not of all of them together.
          assertEquals([receive(within), receive(within)], [1, 1]);
          const { message } = assertThrows(() => receive(over), ProtocolError);
          assertStringIncludes(message, `${name} is ${value}`);
        }
      }
    });
  }
});

Deno.test("ReplyParser counts a value in bytes by its object, wherever it was received", () => {
  for (const length of [0, 3, 999, 1000, 10 * KIB, 20 * KIB, 100 * KIB]) {
    const wire = bytes("*2\r\n", bulk(new Uint8Array(length)), ":1\r\n");
    const weight = 64 + 2 * 16 + 200;
    for (let round = 0; round < 2; round++) {
      const parser = new ReplyParser({ maxMemory: weight });
      parser.feed(wire);
      assertEquals((parser.next(true) as Reply[]).length, 2);
    }
    const strict = new ReplyParser({ maxMemory: weight - 1 });
    strict.feed(wire);
    assertThrows(
      () => strict.next(true),
      ProtocolError,
      `Reply too large: reply that takes about ${weight} bytes of memory, maxMemory is ${
        weight - 1
      }`,
    );
  }
});

Deno.test("ReplyParser stops a large text as soon as it takes too much memory", () => {
  // Announced as 10 MiB, which is within; each window is not ASCII, and takes twice as much.
  const parser = new ReplyParser({ maxMemory: 12 * MIB });
  parser.feed(bytes(`$${10 * MIB}\r\n`));
  assertEquals(parser.next(), undefined);
  const window = bytes(new Uint8Array(MIB - 2), "é");
  let windows = 0;
  assertThrows(
    () => {
      for (; windows < 10; windows++) {
        parser.feed(window);
        assertEquals(parser.next(), undefined);
      }
    },
    ProtocolError,
    "maxMemory is 12582912",
  );
  assertEquals(windows, 6);
});

Deno.test("A reply within the limit of memory fits into a heap that is half as large again", async (t) => {
  // As the default limit does into a heap of 1 GB, on a scale of one to sixteen.
  const elements = (unit: string) => ["*1000000\r\n", unit] as const;
  const kinds: Record<string, readonly [head: string, unit: string]> = {
    "nulls": elements("$-1\r\n"),
    "empty arrays": elements("*0\r\n"),
    "empty strings": elements("$0\r\n\r\n"),
    "strings of 2": elements("$2\r\nab\r\n"),
    "strings of 13": elements("$13\r\nabcdefghijklm\r\n"),
    "strings of 100": elements(`$100\r\n${"x".repeat(100)}\r\n`),
    "strings of 1,000": elements(`$1000\r\n${"x".repeat(1000)}\r\n`),
    "strings of 20,000": elements(`$20000\r\n${"x".repeat(20000)}\r\n`),
    "text that is not ASCII": elements(
      `$1002\r\n${"x".repeat(999)}한\r\n`,
    ),
    "simple strings": elements("+abcdefghijklmnopqrst\r\n"),
    "large integers": elements(":4294967296123\r\n"),
    "integers of 64 bits": elements(":9223372036854775807\r\n"),
    "large integers and nulls": elements(":4294967296123\r\n$-1\r\n"),
    "errors": ["*9500\r\n", `-ERR ${"x".repeat(1000)}\r\n`],
    "arrays of one": elements("*1\r\n:1\r\n"),
    "arrays of three": elements("*3\r\n:1\r\n:1\r\n:1\r\n"),
    "arrays of 1,025": elements(`*1025\r\n${":1\r\n".repeat(1025)}`),
    "deep arrays": elements("*1\r\n".repeat(126) + "*0\r\n"),
    "bytes": elements("$20\r\nabcdefghijklmnopqrst\r\n"),
    "bytes of 20,000": elements(`$20000\r\n${"x".repeat(20000)}\r\n`),
    "one text": ["$40000000\r\n", "x"],
    "one text that is not ASCII": [
      "$40000000\r\n",
      "x".repeat(49_997) + "한",
    ],
  };
  const child = new URL("../support/heap.ts", import.meta.url).href;
  for (const [title, [head, unit]] of Object.entries(kinds)) {
    await t.step(title, async () => {
      const binary = title.startsWith("bytes");
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--quiet",
          "--no-check",
          "--v8-flags=--max-old-space-size=64",
          child,
          JSON.stringify({ head, unit, binary, maxMemory: 40 * MIB }),
        ],
      }).output();
      assertEquals(code, 0, decodeAlone(stderr).slice(0, 300));
      assertMatch(
        decodeAlone(stdout),
        /^(?:maxMemory|maxElements|a reply|ProtocolError)/,
      );
    });
  }
});

Deno.test("A short string of a list keeps no more than half a kilobyte of its neighbours alive", async () => {
  const program = `
    import { ReplyParser } from ${
    JSON.stringify(new URL("../../resp/mod.ts", import.meta.url).href)
  };
    const one = "$20\\r\\nabcdefghijklmnopqrst\\r\\n";
    const list = new TextEncoder().encode("*300\\r\\n" + one.repeat(300));
    const parser = new ReplyParser();
    const kept = new Array(4000).fill("");
    const keep = () => {
      for (let i = 0; i < kept.length; i++) {
        parser.feed(list);
        kept[i] = parser.next()[150];
      }
    };
    const used = () => {
      gc();
      return Deno.memoryUsage().heapUsed;
    };
    const before = used();
    keep();
    console.log(Math.round((used() - before) / kept.length));
  `;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--v8-flags=--expose-gc", program],
  }).output();
  const each = Number(decodeAlone(stdout));
  assert(each > 20 && each < 700, `${each} bytes`); // it was 4,150
});

Deno.test("A large value of bytes has a buffer of its own, and of its length", () => {
  for (
    const length of [
      16 * KIB,
      16 * KIB + 1,
      48 * KIB,
      48 * KIB + 1,
      64 * KIB,
      MIB,
      5 * MIB,
      9 * MIB,
    ]
  ) {
    const body = new Uint8Array(length).fill(7);
    const wire = bytes(bulk(body), ":1\r\n");
    for (const put of Object.values(WAYS)) {
      for (const piece of [1000, 100_000, length, 2 * length]) {
        const parser = new ReplyParser();
        let value: Reply | undefined;
        for (let at = 0; at < wire.length; at += piece) {
          put(parser, wire.subarray(at, at + piece));
          value ??= parser.next(true);
        }
        assertInstanceOf(value, Uint8Array);
        assertEquals(
          [value.length, value.byteOffset, value.buffer.byteLength],
          [length, 0, length],
        );
        assertSameBytes(value, body);
        assertEquals(parser.next(), 1);
      }
    }
  }
});

Deno.test("ReplyParser names a type of RESP3, and says what it speaks", () => {
  for (
    const [byte, name] of Object.entries({
      "_": "a null",
      "#": "a boolean",
      ",": "a double",
      "(": "a big number",
      "!": "a bulk error",
      "=": "a verbatim string",
      "%": "a map",
      "|": "an attribute",
      "~": "a set",
      ">": "a push",
    })
  ) {
    for (const start of ["", "*2\r\n:1\r\n"]) {
      const parser = new ReplyParser();
      parser.feed(bytes(`${start}${byte}2\r\n`));
      assertThrows(
        () => parser.next(),
        ProtocolError,
        `this looks like RESP3, ${name} (${byte}): this client speaks RESP2`,
      );
    }
  }
});

Deno.test("ReplyParser accepts arrays 128 deep and refuses 129", () => {
  const parser = new ReplyParser();
  parser.feed(nested(128));
  let reply = parser.next();
  let depth = 0;
  for (; Array.isArray(reply); depth++) reply = reply[0];
  assertEquals([depth, reply], [128, 1]);
  parser.feed(nested(129));
  assertThrows(() => parser.next(), ProtocolError, "maxDepth is 128");
});

Deno.test("ReplyParser reads small negative integers, and no negative zero", () => {
  const parser = new ReplyParser();
  for (
    const [text, value] of [["-1", -1], ["-2", -2], ["1", 1], ["-0", 0], [
      "0",
      0,
    ]]
  ) {
    parser.feed(bytes(`:${text}\r\n`));
    assert(Object.is(parser.next(), value), `${text}`);
  }
});

Deno.test("ReplyParser says what it expected, and quotes what it got", () => {
  const cases: [wire: Uint8Array, says: string][] = [
    [bytes("-ERR\rX"), 'expected the CRLF after a line, got "X"'],
    [bytes("+OK\rX"), 'expected the CRLF after a line, got "X"'],
    [bytes("+OK\n"), "expected the CRLF after a line, got byte 0x0a"],
    [bytes(":1\r!"), 'expected LF, got "!"'],
    [bytes(":1~"), 'expected a digit or CRLF after ":", got "~"'],
    [bytes(":1 "), 'expected a digit or CRLF after ":", got byte 0x20'],
    [bytes(":1\x7f"), 'expected a digit or CRLF after ":", got byte 0x7f'],
    [bytes("$0\r\n~\n"), 'expected the CRLF after a bulk string, got "~"'],
    [bytes("$-2\r\n"), "bulk string length -2, expected -1 (null) or more"],
    [bytes("*-2\r\n"), "array length -2, expected -1 (null) or more"],
  ];
  for (const [wire, says] of cases) {
    const parser = new ReplyParser();
    parser.feed(wire);
    assertThrows(() => parser.next(), ProtocolError, says);
  }
});

Deno.test("The default limits are those of the documentation", () => {
  assertEquals(LIMITS, {
    maxBulkLength: 536_870_912,
    maxLineLength: 65_536,
    maxElements: 16_777_216,
    maxDepth: 128,
    maxReplyLength: 1_073_741_824,
    maxMemory: 671_088_640,
  });
});

Deno.test("ReplyParser refuses a text that no string can hold, and takes it as bytes", () => {
  const most = "x".repeat(536_870_888).length;
  const ask = (length: number, binary: boolean) => {
    const parser = new ReplyParser();
    parser.feed(bytes(`$${length}\r\n`));
    return parser.next(binary);
  };
  assertEquals(ask(most, false), undefined);
  assertEquals(ask(most + 1, true), undefined);
  assertThrows(
    () => ask(most + 1, false),
    ProtocolError,
    "bulk string of 536870889 bytes, a string holds 536870888; ask for bytes with binary: true",
  );
});

Deno.test("ReplyParser has limits of its own", () => {
  const over: [Uint8Array, string][] = [
    [bytes(`$${512 * MIB + 1}\r\n`), "maxBulkLength is 536870912"],
    [bytes(`*${16 * MIB + 1}\r\n`), "maxElements is 16777216"],
    [bytes("+", new Uint8Array(64 * KIB + 1)), "maxLineLength is 65536"],
    [bytes("*1\r\n".repeat(1_000_000)), "maxDepth is 128"],
  ];
  for (const [wire, says] of over) {
    const parser = new ReplyParser();
    parser.feed(wire);
    assertThrows(() => parser.next(), ProtocolError, says);
  }
});

/** Bytes that differ from place to place, of one, two, three and four bytes a character. */
function body(length: number, alphabet: string): Uint8Array {
  const letters = utf8.encode(alphabet);
  const filled = new Uint8Array(length).fill(0x61);
  for (let at = 0; at + letters.length <= length; at += letters.length) {
    filled.set(letters, at);
  }
  filled.set(utf8.encode(`${length}`.slice(0, length)));
  return filled;
}

const SIZES = [
  ...[-2, -1, 0, 1, 2].map((n) => 16 * KIB + n),
  ...[-1, 0, 1, 2].map((n) => 48 * KIB + n),
  ...[-2, -1, 0, 1, 2].map((n) => 64 * KIB + n),
  ...[-3, -2, 0, 1, 2].map((n) => MIB + n),
  ...[-3, -2, -1].map((n) => 2 * MIB + n),
  ...[-3, -2, -1].map((n) => 4 * MIB + n),
  5 * MIB,
];

for (const [way, put] of Object.entries(WAYS)) {
  Deno.test(`ReplyParser reads large bulk strings and what stands beside them, in odd pieces, by ${way}`, () => {
    for (const size of SIZES) {
      const ascii = body(size, "0123456789\r\n:$*");
      const text = body(size, "aé한😀\r\n");
      const asciiText = decodeAlone(ascii);
      const decodedText = decodeAlone(text);
      const wire = bytes(
        "*5\r\n:1\r\n",
        bulk(ascii),
        "+two\r\n",
        bulk(text),
        bulk(ascii.subarray(0, 20 * KIB)),
        ":3\r\n",
      );
      const pieces = size < 100 * KIB
        ? [
          // Byte by byte takes long: at two of the edges it is enough.
          ...(size < 17 * KIB || size === 64 * KIB ? [1] : []),
          ...[13, 1000, 4097, 65_536, 100_003, wire.length],
        ]
        : size < 2 * MIB - 10
        ? [1460, 65_536, 1_000_003, wire.length]
        : [65_536, 1_000_003];
      for (const piece of pieces) {
        for (const binary of [false, true]) {
          const parser = new ReplyParser();
          const replies: Reply[] = [];
          for (let at = 0; at < wire.length; at += piece) {
            put(parser, wire.subarray(at, at + piece));
            for (
              let reply = parser.next(binary);
              reply !== undefined;
              reply = parser.next(binary)
            ) replies.push(reply);
          }
          assertEquals(parser.partialLength, 0);
          assertEquals(replies.length, 2);
          assertEquals(replies[1], 3);
          const [one, first, two, second, third] = replies[0] as Reply[];
          assertEquals([one, two], [1, "two"]);
          if (binary) {
            assertSameBytes(first, ascii);
            assertSameBytes(second, text);
            assertSameBytes(third, ascii.subarray(0, 20 * KIB));
          } else {
            assert(first === asciiText, `${size} in ${piece}`);
            assert(second === decodedText, `${size} in ${piece}`);
            assert(third === decodeAlone(ascii.subarray(0, 20 * KIB)));
          }
        }
      }
    }
  });
}

Deno.test("ReplyParser grows with a bulk string of 40 MiB and reads it right", () => {
  const large = body(40 * MIB, "0123456789abcdefg");
  const wire = bulk(large);
  for (const put of Object.values(WAYS)) {
    const parser = new ReplyParser();
    for (let at = 0; at < wire.length; at += 100_000) {
      assertEquals(parser.next(true), undefined);
      assertEquals(parser.partialLength, at);
      put(parser, wire.subarray(at, at + 100_000));
    }
    assertSameBytes(parser.next(true), large);
  }
});

Deno.test("ReplyParser checks the line end behind a large bulk string", () => {
  for (const size of [20 * KIB, 5 * MIB]) {
    for (const [end, says] of [["x\r\n", '"x"'], ["\rx", '"x"']] as const) {
      const wire = bytes(`$${size}\r\n`, new Uint8Array(size), end);
      for (const piece of [1000, wire.length]) {
        const parser = new ReplyParser();
        assertThrows(
          () => {
            for (let at = 0; at < wire.length; at += piece) {
              parser.feed(wire.subarray(at, at + piece));
              assertEquals(parser.next(), undefined);
            }
          },
          ProtocolError,
          says,
        );
      }
    }
  }
});

Deno.test("ReplyParser may be fed much before it is asked", () => {
  const large = body(3 * MIB, "0123456789é");
  const wire = bytes(bulk(large), ":1\r\n".repeat(100_000), bulk(large));
  for (const put of Object.values(WAYS)) {
    const parser = new ReplyParser();
    for (let at = 0; at < wire.length; at += 10_000) {
      put(parser, wire.subarray(at, at + 10_000));
    }
    assertEquals(parser.partialLength, wire.length);
    assert(parser.next() === decodeAlone(large));
    for (let i = 0; i < 100_000; i++) assertEquals(parser.next(), 1);
    assert(parser.next() === decodeAlone(large));
    assertEquals(parser.next(), undefined);
  }
});

/** What a decoder may stumble over at an edge, and how text usually is. */
const TREACHEROUS = [
  ...[0x80, 0xbf, 0xc0, 0xc3, 0xe2, 0xf0, 0xff].map((byte) => bytes(byte)),
  ...["\ufeff", "é", "한", "😀", "\r\n"].map((text) => bytes(text)),
];
const TAME = ["a", "bc", "0123456789", " "].map((text) => bytes(text));

function randomBody(random: Random, length: number): Uint8Array {
  const one = random.pick([2, 4, 200, 2000]);
  const body = new Uint8Array(length);
  for (let size = 0; size < length;) {
    const piece = random.oneIn(one)
      ? random.pick(TREACHEROUS)
      : random.pick(TAME);
    body.set(piece.subarray(0, length - size), size);
    size += piece.length;
  }
  return body;
}

Deno.test("ReplyParser decodes each string as if it stood alone, whatever stands beside it", () => {
  const random = new Random();
  for (let round = 0; round < searchLength(20); round++) {
    const lengths = random.pick([
      [0, 1, 2, 3],
      [5, 20, 36],
      [30, 500],
      [2000, 4090, 4096, 4097, 9000],
      [0, 1, 36, 5000, 17_000],
    ]);
    const bodies = Array.from(
      { length: 1 + random.below(400) },
      () => randomBody(random, random.pick(lengths)),
    );
    const isLine = bodies.map((body) =>
      random.oneIn(4) && !body.includes(13) && !body.includes(10)
    );
    const wire = bytes(
      `*${bodies.length}\r\n`,
      ...bodies.map((body, i) =>
        isLine[i] ? bytes("+", body, "\r\n") : bulk(body)
      ),
    );
    const asText = new ReplyParser();
    const asBytes = new ReplyParser();
    const most = random.pick([10, 1000, 5000, 70_000]);
    for (let at = 0; at < wire.length;) {
      const end = at + 1 + random.below(most);
      asText.feed(wire.subarray(at, end));
      asBytes.feed(wire.subarray(at, end));
      at = end;
      if (at >= wire.length) break;
      assertEquals(asText.next(false), undefined);
      assertEquals(asBytes.next(true), undefined);
    }
    const texts = asText.next(false) as Reply[];
    const raws = asBytes.next(true) as Reply[];
    assertEquals(texts.length, bodies.length);
    for (const [i, body] of bodies.entries()) {
      assertStrictEquals(texts[i], decodeAlone(body), `round ${round}, ${i}`);
      if (isLine[i]) assertStrictEquals(raws[i], texts[i]);
      else assertSameBytes(raws[i], body);
    }
  }
});

Deno.test("ReplyParser decodes text right while replies in bytes move its buffer on", () => {
  const random = new Random();
  const parser = new ReplyParser();
  const expected: { body: Uint8Array; binary: boolean }[] = [];
  let unsent = bytes();
  for (let run = 0; run < 600; run++) {
    const binary = run % 2 === 1;
    const count = 1 + random.below(binary ? 700 : 3);
    const bodies = Array.from(
      { length: count },
      // ASCII, for that is cut from a window of text decoded before.
      () => bytes(`${random.word()}`.repeat(random.below(20))),
    );
    expected.push(...bodies.map((body) => ({ body, binary })));
    const wire = bytes(unsent, ...bodies.map(bulk));
    const size = 300 + random.below(3000);
    let at = 0;
    for (; at + size < wire.length; at += size) {
      parser.feed(wire.subarray(at, at + size));
      while (expected.length > 0) {
        const { body, binary } = expected[0]!;
        const reply = parser.next(binary);
        if (reply === undefined) break;
        if (binary) assertSameBytes(reply, body);
        else assertStrictEquals(reply, decodeAlone(body), `run ${run}`);
        expected.shift();
      }
    }
    unsent = wire.slice(at);
  }
});

/** A value that comes bit by bit, and so by way of a window. */
function receiveLarge(body: Uint8Array): Reply | undefined {
  const parser = new ReplyParser();
  parser.feed(bytes(`$${body.length}\r\n`));
  assertEquals(parser.next(), undefined);
  parser.feed(bytes(body, "\r\n"));
  return parser.next();
}

Deno.test("ReplyParser decodes characters across the edges of its windows of large text", () => {
  const length = 2 * MIB + 200;
  for (
    const piece of ["é", "한", "😀", "\ufeff", "x한é😀"].map((t) => bytes(t))
  ) {
    for (let shift = 0; shift < 4; shift++) {
      const body = new Uint8Array(length).fill(0x78);
      for (const edge of [MIB, 2 * MIB]) {
        let at = edge - 60 + shift;
        for (; at < edge + 60; at += piece.length) body.set(piece, at);
      }
      assert(receiveLarge(body) === decodeAlone(body), `${piece}, ${shift}`);
    }
  }
  // Sequences that are cut off, and bytes that begin none.
  for (
    const bad of [[0xf0, 0x9f, 0x98], [0xe2, 0x82], [0xc3], [0x80], [0xff]]
  ) {
    for (let before = 0; before <= bad.length; before++) {
      const body = new Uint8Array(MIB + 100).fill(0x78);
      body.set(bad, MIB - before);
      assert(receiveLarge(body) === decodeAlone(body), `${bad}, ${before}`);
    }
  }
});

Deno.test("ReplyParser gives no value of before when its buffer begins anew", () => {
  // The first text begins the buffer, and none of the others is cut from a
  // window, until the edge of the buffer cuts a short one and moves it.
  for (let filled = 55_000; filled < 67_000; filled += 37) {
    const parser = new ReplyParser();
    const received: Reply[] = [];
    const expected: string[] = ["hello"];
    const put = (wire: Uint8Array): void => {
      for (let at = 0; at < wire.length;) {
        const room = parser.reserve();
        const count = Math.min(room.length, wire.length - at);
        room.set(wire.subarray(at, at + count));
        parser.commit(count);
        at += count;
        let reply: Reply | undefined;
        while ((reply = parser.next()) !== undefined) received.push(reply);
      }
    };
    put(bytes("$5\r\n"));
    const rest: Uint8Array[] = [bytes("hello\r\n")];
    for (let size = 0, i = 0; size < filled; i++) {
      const length = Math.min(filled - size, 600 + (i * 977) % 3500);
      expected.push(`${i}`.repeat(length).slice(0, length));
      rest.push(bulk(bytes(expected.at(-1)!)));
      size += rest.at(-1)!.length;
    }
    for (let i = 0; i < 120; i++) {
      expected.push(`value ${i} of ${filled}`.repeat(1 + i % 3));
      rest.push(bulk(bytes(expected.at(-1)!)));
    }
    put(bytes(...rest));
    assertEquals(received.length, expected.length);
    for (const [i, text] of expected.entries()) {
      assertStrictEquals(received[i], text, `${filled}, reply ${i}`);
    }
  }
});

Deno.test("ReplyParser gives each reply its own value, wherever reads end", () => {
  const random = new Random();
  for (let round = 0; round < searchLength(20); round++) {
    const parser = new ReplyParser();
    const long = random.pick([20, 600, 5000, 20_000, 60_000]);
    const expected: Reply[] = [];
    const received: Reply[] = [];
    const cuts: number[] = [];
    const parts: string[] = [];
    let size = 0;
    const add = (...pieces: string[]): void => {
      for (const piece of pieces) {
        parts.push(piece);
        size += bytes(piece).length;
        if (random.oneIn(3)) cuts.push(size);
      }
    };
    for (let i = 0; size < 300_000; i++) {
      const text =
        `${round}.${i};`.repeat(1 + random.below(random.pick([3, 9, long])))
          .slice(0, long) + random.pick(["", "", "é", "한"]);
      const { length } = bytes(text);
      switch (random.below(6)) {
        case 0:
          add("+", text, "\r", "\n");
          expected.push(text);
          break;
        case 1:
          add(":", `${i}`, "\r\n");
          expected.push(i);
          break;
        case 2:
          add("*2\r\n$", `${length}`, "\r\n", text, "\r\n$-1", "\r\n");
          expected.push([text, null]);
          break;
        default:
          add("$", `${length}`, "\r", "\n", text, "\r", "\n");
          expected.push(text);
      }
    }
    const wire = bytes(parts.join(""));
    for (let at = 0; at < wire.length;) {
      const room = parser.reserve();
      while (cuts[0]! <= at) cuts.shift();
      const cut = cuts[0] ?? wire.length;
      const count = Math.min(
        room.length,
        wire.length - at,
        random.oneIn(3) ? room.length : cut - at,
      );
      room.set(wire.subarray(at, at + count));
      parser.commit(count);
      at += count;
      let reply: Reply | undefined;
      while ((reply = parser.next()) !== undefined) received.push(reply);
    }
    assertEquals(received.length, expected.length);
    for (const [i, value] of expected.entries()) {
      assertEquals(received[i], value, `round ${round}, reply ${i}`);
    }
    assertEquals(parser.partialLength, 0);
  }
});

Deno.test("ReplyParser keeps nothing of a large text that it has handed out", async () => {
  const program = `
    import { ReplyParser } from ${
    JSON.stringify(new URL("../../resp/mod.ts", import.meta.url).href)
  };
    const parser = new ReplyParser();
    const chunk = new Uint8Array(2 ** 20).fill(120);
    parser.feed(new TextEncoder().encode("$73400320\\r\\n"));
    for (let i = 0; i < 70; i++) {
      parser.next();
      parser.feed(chunk);
    }
    parser.feed(new Uint8Array([13, 10]));
    let reply = parser.next();
    if (reply.length !== 70 * 2 ** 20) throw new Error("no reply");
    reply = undefined;
    const others = [];
    const decoder = new TextDecoder();
    for (let i = 0; i < 70; i++) others.push(decoder.decode(chunk));
    console.log(others.length, parser.partialLength);
  `;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--v8-flags=--max-old-space-size=128", program],
  }).output();
  assertEquals(code, 0, decodeAlone(stderr).slice(0, 300));
  assertEquals(decodeAlone(stdout), "70 0\n");
});

Deno.test("ReplyParser offers 64 KB of room, at first and after whatever it received", () => {
  const parser = new ReplyParser();
  assertEquals(parser.reserve().length, 64 * KIB);
  const list = bytes("*9000\r\n", ":12345\r\n".repeat(9000));
  parser.feed(list.subarray(0, 50_000));
  assertEquals(parser.next(), undefined);
  parser.feed(list.subarray(50_000));
  parser.feed(bytes(":1\r\n".repeat(100_000)));
  let replies = 0;
  while (parser.next() !== undefined) replies++;
  assertEquals(replies, 100_001);
  const { length, buffer } = parser.reserve();
  assertEquals([length, buffer.byteLength], [64 * KIB, 64 * KIB]);
  // Where there is less than 4 KB left, what is not parsed moves to the front.
  parser.feed(bytes("+".padEnd(61 * KIB, "x")));
  assertEquals(parser.next(), undefined);
  assert(parser.reserve().length >= 4 * KIB);
});

Deno.test("ReplyParser decodes the short strings of a list together", () => {
  const timeOf = (element: string): number => {
    const wire = bytes(
      "*5000\r\n",
      ...new Array<Uint8Array>(5000).fill(bulk(bytes(element))),
    );
    const parser = new ReplyParser();
    let best = Infinity;
    for (let run = 0; run < 60; run++) {
      const startedAt = performance.now();
      parser.feed(wire);
      assertEquals((parser.next() as Reply[]).length, 5000);
      best = Math.min(best, performance.now() - startedAt);
    }
    return best;
  };
  const ratios: number[] = [];
  // Those that are longer than a window are decoded one by one, and take five times as long.
  do {
    ratios.push(timeOf("x".repeat(36)) / timeOf("x".repeat(520)));
  } while (ratios.at(-1)! >= 0.45 && ratios.length < 4);
  assertLess(ratios.at(-1)!, 0.45, `${ratios}`);
});

/** One random change: what a broken peer, a cut or a stranger might make of a reply. */
function mutate(
  random: Random,
  wire: Uint8Array,
  pool: Uint8Array[],
): Uint8Array {
  const at = random.below(wire.length + 1);
  const to = at + random.below(wire.length + 1 - at);
  switch (random.below(8)) {
    case 0:
      return wire.subarray(0, at);
    case 1:
      return wire.subarray(at);
    case 2:
      return bytes(wire.subarray(0, at), wire.subarray(to));
    case 3:
      return bytes(wire.subarray(0, to), wire.subarray(at));
    case 4:
      return bytes(wire.subarray(0, at), random.pick(pool), wire.subarray(to));
    case 5:
      return bytes(
        wire.subarray(0, at),
        random.pick([48, 49, 57, 13, 10, 36, 42, 43, 45, 58]),
        wire.subarray(at),
      );
    default: {
      if (wire.length === 0) return wire;
      const changed = wire.slice();
      changed[at % wire.length] = random.oneIn(3)
        ? random.below(256)
        : random.pick([48, 49, 57, 13, 10, 36, 42, 43, 45, 58]);
      return changed;
    }
  }
}

function memoryUsed(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

Deno.test(
  "ReplyParser ends every random mutation in a reply, not yet or a ProtocolError",
  { timeout: 240_000 },
  () => {
    const random = new Random();
    const iterations = searchLength(50_000);
    const pool = [
      ...VALID.map(({ wire }) => wire),
      ...INVALID.map(({ wire }) => wire),
      bytes("*16777216\r\n"),
      bytes("$536870912\r\n"),
      bytes("$100000\r\n"),
      nested(100),
    ];
    const outcomes = { reply: 0, "not yet": 0, ProtocolError: 0 };
    const atFirst = memoryUsed();
    let most = 0;
    let parser = new ReplyParser();
    for (let i = 0; i < iterations; i++) {
      let wire = random.pick(pool);
      for (let n = 1 + random.below(4); n > 0; n--) {
        wire = mutate(random, wire, pool);
      }
      const cut = random.below(2 * wire.length + 1); // beyond the end: whole
      let outcome: keyof typeof outcomes = "not yet";
      try {
        for (const piece of [wire.subarray(0, cut), wire.subarray(cut)]) {
          parser.feed(piece);
          for (let replies = 0; parser.next(random.oneIn(2)) !== undefined;) {
            outcome = "reply";
            if (++replies > wire.length) {
              throw new Error("replies out of nothing");
            }
          }
        }
      } catch (error) {
        if (!(error instanceof ProtocolError)) {
          console.log(`iteration ${i}: ${JSON.stringify(decodeAlone(wire))}`);
          throw error;
        }
        outcome = "ProtocolError";
      }
      if (outcome === "ProtocolError" || parser.partialLength > 0) {
        parser = new ReplyParser();
      }
      outcomes[outcome]++;
      if (i % 10_000 === 0) most = Math.max(most, memoryUsed() - atFirst);
    }
    console.log(outcomes, `${Math.ceil(most / MIB)} MiB`);
    if (iterations >= 10_000) {
      for (const count of Object.values(outcomes)) assertNotEquals(count, 0);
    }
    assertLess(most, 512 * MIB);
  },
);

/** Milliseconds that it takes to do something, for each byte; the better of two. */
function costOf(wire: Uint8Array, receive: (wire: Uint8Array) => void): number {
  let best = Infinity;
  for (let run = 0; run < 2; run++) {
    const startedAt = performance.now();
    receive(wire);
    best = Math.min(best, performance.now() - startedAt);
  }
  return Math.max(0.05, best) / wire.length;
}

/** Receives a reply in pieces. */
const parsing =
  (piece: number, askEachTime: boolean) => (wire: Uint8Array): void => {
    const parser = new ReplyParser();
    let reply: Reply | undefined;
    for (let at = 0; at < wire.length; at += piece) {
      parser.feed(wire.subarray(at, at + piece));
      if (askEachTime) reply = parser.next();
    }
    reply ??= parser.next();
    assert(reply !== undefined);
  };

/** The least that a text can cost: its bytes once more, and the text. */
function copying(wire: Uint8Array): void {
  const decoder = new TextDecoder();
  const texts: string[] = [];
  for (let at = 0; at < wire.length; at += 4 * MIB) {
    texts.push(decoder.decode(wire.slice(at, at + 4 * MIB)));
  }
  assert(texts.length > 0);
}

Deno.test("ReplyParser costs no more for a byte of a large reply than for one of a small reply", async (t) => {
  const value = (length: number) => bulk(new Uint8Array(length).fill(0x61));
  const list = (length: number) =>
    bytes(`*${length}\r\n`, ":12345\r\n".repeat(length));
  const line = (length: number) =>
    bytes("+", new Uint8Array(length).fill(0x61), "\r\n");
  const cases: {
    title: string;
    make: (size: number) => Uint8Array;
    sizes: [small: number, large: number];
    piece: number;
    askEachTime?: boolean;
  }[] = [
    {
      title: "a value in pieces of 1 KB",
      make: value,
      sizes: [256 * KIB, MIB],
      piece: KIB,
    },
    {
      title: "a value in single bytes",
      make: value,
      sizes: [256 * KIB, MIB],
      piece: 1,
    },
    {
      title: "a value that waits in the buffer, in single bytes",
      make: value,
      sizes: [4000, 16_000],
      piece: 1,
    },
    {
      title: "a value that outgrows its room, in pieces of 64 KB",
      make: value,
      // Both beyond the caches, and beyond the 32 MiB up to which the allocator keeps memory.
      sizes: [40 * MIB, 160 * MIB],
      piece: 64 * KIB,
    },
    {
      title: "a value that is not asked for while it arrives",
      make: value,
      sizes: [MIB, 4 * MIB],
      piece: KIB,
      askEachTime: false,
    },
    {
      title: "a line in single bytes",
      make: line,
      sizes: [16_000, 64_000],
      piece: 1,
    },
    {
      title: "a list in pieces of 10 bytes",
      make: list,
      sizes: [25_000, 100_000],
      piece: 10,
    },
    {
      title: "a list in single bytes",
      make: list,
      sizes: [10_000, 40_000],
      piece: 1,
    },
  ];
  for (const { title, make, sizes, piece, askEachTime = true } of cases) {
    await t.step(title, () => {
      const [small, large] = sizes.map(make) as [Uint8Array, Uint8Array];
      const receive = parsing(piece, askEachTime);
      const nanoseconds = (ms: number) => (1e6 * ms).toFixed(1);
      let seen = "";
      // Other work of the machine may spoil a round. Quadratic cost, which
      // would make it 4 times the least, spoils all of them.
      for (let round = 0; round < 6; round++) {
        const least = costOf(small, receive); // the first run compiles
        const most = costOf(large, receive);
        // Much memory is fresh memory, and where a fresh page is dear that is most of it.
        const bare = costOf(large, copying);
        if (most < 3 * least + bare) return;
        seen += `${nanoseconds(least)}, then ${nanoseconds(most)} ns a byte, ` +
          `of which bare arrays cost ${nanoseconds(bare)}\n`;
      }
      throw new Error(seen);
    });
  }
});

Deno.test("ReplyParser counts errors in an array for what they weigh", () => {
  const parser = new ReplyParser({ maxElements: 10_000 });
  parser.feed(bytes("*9000\r\n", "-ERR no\r\n".repeat(9000)));
  assertThrows(() => parser.next(), ProtocolError, "maxElements is 10000");
  const few = new ReplyParser({ maxElements: 10_000 });
  few.feed(bytes("*50\r\n", "-ERR no\r\n".repeat(50)));
  assertEquals((few.next() as Reply[]).length, 50);
});

Deno.test("ReplyParser spends no memory on lengths that are only announced", () => {
  const count = 50;
  for (
    const announced of [
      `$${512 * MIB}\r\nabc`,
      `*1\r\n$${512 * MIB}\r\nabc`,
      `*${16 * MIB}\r\n:1\r\n`,
      "*16000\r\n".repeat(128),
      `*2\r\n*${8 * MIB}\r\n*${7 * MIB}\r\n:1\r\n`,
    ]
  ) {
    const before = memoryUsed();
    const parsers = Array.from({ length: count }, () => {
      const parser = new ReplyParser();
      parser.feed(bytes(announced));
      assertEquals(parser.next(true), undefined);
      return parser;
    });
    const each = (memoryUsed() - before) / parsers.length;
    assertLess(each, 6 * MIB, announced);
  }
});
