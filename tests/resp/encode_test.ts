// Commands to bytes: what is written for which argument, and what is refused.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertLess,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { checkCommand } from "../../resp/command.ts";
import { CommandBuffer } from "../../resp/command_buffer.ts";
import { copyCommand, encodeCommand } from "../../resp/encode.ts";
import type { Command } from "../../resp/types.ts";
import { assertSameBytes } from "../support/bytes.ts";
import { Conversation } from "../support/conversation.ts";
import { Random } from "../support/random.ts";
import { startRedis } from "../support/redis_server.ts";

const utf8 = new TextEncoder();

/** Arguments, and the text or the bytes that Redis must get for them. */
const ARGUMENTS: readonly {
  readonly title: string;
  readonly argument: Command[number];
  readonly sent: string | Uint8Array;
}[] = [
  { title: "ASCII", argument: "hello", sent: "hello" },
  { title: "an empty string", argument: "", sent: "" },
  { title: "line ends", argument: "a\r\nb\r\n", sent: "a\r\nb\r\n" },
  { title: "a NUL", argument: "a\0b", sent: "a\0b" },
  { title: "text that looks like RESP", argument: "$-1\r\n", sent: "$-1\r\n" },
  { title: "two-byte UTF-8", argument: "é", sent: [0xc3, 0xa9] },
  { title: "three-byte UTF-8", argument: "한", sent: [0xed, 0x95, 0x9c] },
  {
    title: "a surrogate pair",
    argument: "😀",
    sent: [0xf0, 0x9f, 0x98, 0x80],
  },
  {
    title: "a byte order mark",
    argument: "\ufeffa",
    sent: [0xef, 0xbb, 0xbf, 0x61],
  },
  {
    title: "a lone high surrogate",
    argument: "a\ud83d",
    sent: [0x61, 0xef, 0xbf, 0xbd],
  },
  {
    title: "a lone low surrogate",
    argument: "\ude00b",
    sent: [0xef, 0xbf, 0xbd, 0x62],
  },
  {
    title: "surrogates in the wrong order",
    argument: "\ude00\ud83d",
    sent: [0xef, 0xbf, 0xbd, 0xef, 0xbf, 0xbd],
  },
  { title: "0", argument: 0, sent: "0" },
  { title: "-0", argument: -0, sent: "0" },
  { title: "a negative number", argument: -12, sent: "-12" },
  { title: "a fraction", argument: 0.1, sent: "0.1" },
  { title: "1e21", argument: 1e21, sent: "1e+21" },
  { title: "the smallest double", argument: 5e-324, sent: "5e-324" },
  {
    title: "the largest double",
    argument: Number.MAX_VALUE,
    sent: "1.7976931348623157e+308",
  },
  {
    title: "the largest safe integer",
    argument: Number.MAX_SAFE_INTEGER,
    sent: "9007199254740991",
  },
  { title: "Infinity", argument: Infinity, sent: "inf" },
  { title: "-Infinity", argument: -Infinity, sent: "-inf" },
  { title: "0n", argument: 0n, sent: "0" },
  {
    title: "a bigint of 64 bits",
    argument: -(2n ** 63n),
    sent: "-9223372036854775808",
  },
  {
    title: "a bigint beyond",
    argument: 10n ** 30n,
    sent: `1${"0".repeat(30)}`,
  },
  { title: "no bytes", argument: new Uint8Array(0), sent: [] },
  {
    title: "bytes that are no UTF-8",
    argument: Uint8Array.of(0xff, 0, 13, 10, 0xc3),
    sent: [0xff, 0, 13, 10, 0xc3],
  },
  {
    title: "a view of part of a buffer",
    argument: Uint8Array.of(1, 2, 3, 4, 5).subarray(1, 4),
    sent: [2, 3, 4],
  },
  ...[1022, 1023, 1024, 1025, 70_000].flatMap((length) => [
    {
      title: `${length} bytes of ASCII`,
      argument: "x".repeat(length),
      sent: "x".repeat(length),
    },
    {
      title: `${length} two-byte characters`,
      argument: "é".repeat(length),
      sent: utf8.encode("é".repeat(length)),
    },
  ]),
].map(({ sent, ...rest }) => ({
  ...rest,
  sent: Array.isArray(sent) ? Uint8Array.from(sent) : sent,
}));

const bytesOf = (value: string | Uint8Array): Uint8Array =>
  typeof value === "string" ? utf8.encode(value) : value;

function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, p) => sum + p.length, 0));
  let end = 0;
  for (const piece of pieces) {
    whole.set(piece, end);
    end += piece.length;
  }
  return whole;
}

/** The encoding as the specification has it, in the slowest way. */
function expected(words: readonly (string | Uint8Array)[]): Uint8Array {
  return concat([
    utf8.encode(`*${words.length}\r\n`),
    ...words.map(bytesOf).flatMap((word) => [
      utf8.encode(`$${word.length}\r\n`),
      word,
      utf8.encode("\r\n"),
    ]),
  ]);
}

/** Everything that a buffer holds, in as many writes as it makes of it. */
function takeAll(buffer: CommandBuffer): Uint8Array<ArrayBuffer> {
  const writes: Uint8Array[] = [];
  while (buffer.size > 0) writes.push(buffer.take().slice());
  return concat(writes);
}

/** A command by both ways of encoding, which must agree. */
function bothWays(command: Command): Uint8Array {
  const buffer = new CommandBuffer();
  buffer.append(command);
  const gathered = buffer.take();
  const encoded = encodeCommand(command);
  assertEquals(gathered, encoded);
  return encoded;
}

Deno.test("A command is encoded as an array of bulk strings with lengths in bytes", async (t) => {
  for (const { title, argument, sent } of ARGUMENTS) {
    await t.step(title, () => {
      checkCommand(["SET", argument]);
      assertEquals(bothWays(["SET", argument]), expected(["SET", sent]));
      assertEquals(
        bothWays(["SET", argument, "é", argument, 1]),
        expected(["SET", sent, "é", sent, "1"]),
      );
    });
  }
});

Deno.test("A command may have any number of arguments", () => {
  for (const count of [0, 1, 62, 63, 64, 65, 1000]) {
    const rest = Array.from({ length: count }, (_, i) => i);
    assertEquals(
      bothWays(["MGET", ...rest]),
      expected(["MGET", ...rest.map(String)]),
    );
  }
});

Deno.test("A command's name is sent as it is written", () => {
  for (const name of ["get", "GeT", "my.module", "ключ"]) {
    assertEquals(bothWays([name]), expected([name]));
  }
});

const SECRET = "hunter2";

/** What no command may be, and what the error must say of it. */
const REFUSED: readonly {
  readonly title: string;
  readonly command: unknown;
  readonly message: string;
}[] = [
  ...[
    { title: "NaN", bad: NaN, kind: "NaN" },
    { title: "undefined", bad: undefined, kind: "undefined" },
    { title: "null", bad: null, kind: "null" },
    { title: "true", bad: true, kind: "a boolean" },
    { title: "a function", bad: () => SECRET, kind: "a function" },
    { title: "a symbol", bad: Symbol(SECRET), kind: "a symbol" },
    { title: "an object", bad: { SECRET }, kind: "an object (Object)" },
    { title: "an array", bad: [SECRET], kind: "an object (Array)" },
    { title: "a Date", bad: new Date(), kind: "an object (Date)" },
    {
      title: "an object without prototype",
      bad: Object.assign(Object.create(null), { SECRET }),
      kind: "an object (no prototype)",
    },
    {
      title: "an ArrayBuffer",
      bad: new ArrayBuffer(2),
      kind: "an object (ArrayBuffer)",
    },
    {
      title: "a wider array",
      bad: new Uint16Array(2),
      kind: "an object (Uint16Array)",
    },
    {
      title: "a boxed string",
      bad: Object(SECRET),
      kind: "an object (String)",
    },
  ].flatMap(({ title, bad, kind }) =>
    [1, 2, 70].map((index) => {
      const command: unknown[] = new Array(72).fill("a");
      command[0] = "SET";
      command[index] = bad;
      return {
        title: `${title} as argument ${index}`,
        command,
        message: `Cannot send SET: argument ${index} is ${kind}`,
      };
    })
  ),
  {
    title: "NaN behind bytes and text that is not ASCII",
    command: ["SET", new Uint8Array(2), "é", NaN],
    message: "Cannot send SET: argument 3 is NaN",
  },
  {
    title: "bytes behind undefined",
    command: ["SET", undefined, new Uint8Array(2)],
    message: "Cannot send SET: argument 1 is undefined",
  },
  {
    title: "a hole",
    // deno-lint-ignore no-sparse-arrays
    command: ["SET", , "v"],
    message: "argument 1 is undefined",
  },
  {
    title: "a hole beside bytes",
    // deno-lint-ignore no-sparse-arrays
    command: ["SET", , new Uint8Array(2)],
    message: "argument 1 is undefined",
  },
  { title: "nothing", command: [], message: "an empty array" },
  { title: "no name", command: ["", "a"], message: "an empty string" },
  { title: "bytes as a name", command: [utf8.encode("GET")], message: "name" },
  { title: "a number as a name", command: [1, "a"], message: "a number" },
  { title: "text", command: "GET key", message: "got a string" },
  { title: "null", command: null, message: "got null" },
  { title: "undefined", command: undefined, message: "got undefined" },
  { title: "a number", command: 5, message: "got a number" },
  { title: "an object", command: { 0: "GET" }, message: "an object (Object)" },
  {
    title: "something like an array",
    command: { 0: "GET", length: 1 },
    message: "an object (Object)",
  },
];

Deno.test("A command that cannot be sent is refused, and the error says which argument is wrong", async (t) => {
  for (const { title, command, message } of REFUSED) {
    await t.step(title, () => {
      const bad = command as Command;
      for (
        const refuse of [
          () => encodeCommand(bad),
          () => checkCommand(bad),
          () => new CommandBuffer().append(bad),
        ]
      ) {
        const error = assertThrows(refuse, TypeError, message);
        assert(!error.message.includes(SECRET), error.message);
      }
    });
  }
});

Deno.test("CommandBuffer encodes many commands as if each were encoded alone", async (t) => {
  const ascii: Command = ["GET", "key"];
  const text: Command = ["SET", "clé", "日本語 😀"];
  const bytes: Command = ["SET", "key", Uint8Array.of(0xff, 0)];
  const numbers: Command = ["ZADD", "z", 1.5, "m", -Infinity, 2n ** 64n];
  const batches: Record<string, Command[]> = {
    "nothing": [],
    "ASCII": [ascii, ascii, numbers],
    "text at the end": [ascii, ascii, text],
    "text at the start": [text, ascii, ascii],
    "bytes between ASCII": [ascii, bytes, ascii],
    "bytes alone": [bytes, bytes],
    "text behind bytes": [bytes, text, ascii],
    "bytes behind text": [ascii, text, bytes, numbers],
    "text whose lengths add up to another's bytes": [
      ["A", "é"],
      ["B", "x"],
      ["C", "\ud800"],
    ],
    "a thousand": Array.from(
      { length: 1000 },
      (_, i) => [ascii, numbers, bytes, text][i % 4]!,
    ),
  };
  for (const [title, commands] of Object.entries(batches)) {
    await t.step(title, () => {
      const buffer = new CommandBuffer();
      for (const command of commands) buffer.append(command);
      assertEquals(buffer.take(), concat(commands.map(encodeCommand)));
      assertEquals(buffer.size, 0);
      assertEquals(buffer.take(), new Uint8Array(0));
    });
  }
});

Deno.test("CommandBuffer can be filled again after each take", () => {
  const buffer = new CommandBuffer();
  const commands: Command[] = [
    ["SET", "k", "é"],
    ["GET", "k"],
    ["SET", "k", Uint8Array.of(200)],
    ["GET", "k"],
  ];
  for (const command of commands) {
    buffer.append(command);
    assertEquals(buffer.take(), encodeCommand(command));
  }
});

Deno.test("CommandBuffer writes into the same bytes again if it may, and if they are long enough", () => {
  let buffer = new CommandBuffer(true);
  const take = (length: number): Uint8Array => {
    buffer.append(["ECHO", "x".repeat(length)]);
    return buffer.take();
  };
  assertStrictEquals(take(10).buffer, take(20).buffer);
  const long = take(100_000);
  assertEquals(long.length, encodeCommand(["ECHO", "x".repeat(1e5)]).length);
  assertNotStrictEquals(take(10).buffer, long.buffer);
  assertNotStrictEquals(take(100_000).buffer, long.buffer);
  buffer = new CommandBuffer();
  assertNotStrictEquals(take(10).buffer, take(10).buffer);
});

Deno.test("CommandBuffer counts the bytes that it holds, exactly for ASCII and bytes", () => {
  const buffer = new CommandBuffer();
  let size = 0;
  for (
    const command of [
      ["GET", "key"],
      ["SET", "key", new Uint8Array(3000)],
      ["ZADD", "z", 1, "x".repeat(2000)],
    ] satisfies Command[]
  ) {
    buffer.append(command);
    size += encodeCommand(command).length;
    assertEquals(buffer.size, size);
  }
  assertEquals(buffer.take().length, size);
});

Deno.test("CommandBuffer is as it was after a command that it refused", () => {
  for (const kept of [["GET", "k"], ["SET", "k", "é"]] satisfies Command[]) {
    const buffer = new CommandBuffer();
    buffer.append(kept);
    const { size } = buffer;
    for (const { command } of REFUSED) {
      assertThrows(() => buffer.append(command as Command), TypeError);
      assertEquals(buffer.size, size);
    }
    buffer.append(["PING"]);
    assertEquals(
      buffer.take(),
      concat([encodeCommand(kept), encodeCommand(["PING"])]),
    );
  }
});

Deno.test("CommandBuffer writes a command as it was when it was added, whatever else the batch holds", () => {
  for (const other of ["e", "é"]) {
    const buffer = new CommandBuffer();
    const command: [string, string, string] = ["SET", "first", "1"];
    buffer.append(command);
    command[1] = "second";
    command[2] = "2";
    buffer.append(command);
    buffer.append(["ECHO", other]);
    assertEquals(
      buffer.take(),
      concat([
        encodeCommand(["SET", "first", "1"]),
        encodeCommand(["SET", "second", "2"]),
        encodeCommand(["ECHO", other]),
      ]),
    );
  }
});

/** What must be sent for an argument, found in the slowest way. */
function wordOf(argument: Command[number]): string | Uint8Array {
  if (argument instanceof Uint8Array) return argument;
  return argument === Infinity
    ? "inf"
    : argument === -Infinity
    ? "-inf"
    : `${argument}`;
}

function randomArgument(random: Random): Command[number] {
  // The first and last of each width in UTF-8 among them.
  const unit = () =>
    random.pick(
      [0x41, 13, 10, 0x7f, 0x80, 0xe9, 0x7ff, 0x800, 0xe01, 0xd55c, 0xffff]
        .concat(0xd83d, 0xde00, 0xd800, 0xdc00, 0xdbff, 0xdfff),
    );
  switch (random.below(7)) {
    case 6: // of lengths with as many digits in units as in bytes, or with one more
      return random.pick(["é", "ก", "한", "😀", "\ud83d", "e"]).repeat(
        random.pick([1, 4, 5, 9, 33, 34, 50, 99, 333, 334, 500]),
      );
    case 0:
      return random.bytes(random.below(40));
    case 1:
      return random.below(2 ** 32) * 2 ** (random.below(200) - 100);
    case 2:
      return BigInt(random.word()) ** BigInt(random.below(4));
    case 3:
      return String.fromCharCode(
        ...Array.from({ length: random.below(30) }, unit),
      );
    case 4:
      return random.pick(ARGUMENTS).argument;
    default:
      return "key:".repeat(random.below(8));
  }
}

Deno.test("CommandBuffer and encodeCommand agree on random batches", () => {
  const random = new Random();
  const kept = new CommandBuffer(true);
  for (let round = 0; round < 300; round++) {
    const commands = Array.from(
      { length: random.below(20) },
      (): Command => [
        "SET",
        ...Array.from(
          { length: random.oneIn(20) ? 80 : random.below(6) },
          () => randomArgument(random),
        ),
      ],
    );
    const buffer = random.oneIn(2) ? kept : new CommandBuffer();
    for (const command of commands) buffer.append(command);
    const taken = takeAll(buffer);
    const alone = concat(commands.map((c) => expected(c.map(wordOf))));
    assertSameBytes(taken, alone, `round ${round}`);
    const encoded = concat(commands.map(encodeCommand));
    assertSameBytes(encoded, alone, `round ${round}`);
  }
});

Deno.test("CommandBuffer takes no notice of what becomes of bytes after they were added", () => {
  const shrinking = new ArrayBuffer(100, { maxByteLength: 200 });
  const shared = new SharedArrayBuffer(4, { maxByteLength: 8 });
  const cases: [bytes: Uint8Array, change: () => void][] = [];
  const add = (bytes: Uint8Array, change: () => void) =>
    cases.push([bytes.fill(7), change]);
  const gone = new Uint8Array(46);
  add(gone, () => structuredClone(gone, { transfer: [gone.buffer] }));
  const large = new Uint8Array(300_000);
  add(large, () => structuredClone(large, { transfer: [large.buffer] }));
  add(new Uint8Array(shrinking), () => shrinking.resize(10));
  add(new Uint8Array(shrinking, 20, 50), () => shrinking.resize(10));
  const growing = new ArrayBuffer(10, { maxByteLength: 200 });
  add(new Uint8Array(growing), () => growing.resize(150));
  add(new Uint8Array(shared), () => shared.grow(8));
  const written = new Uint8Array(new SharedArrayBuffer(4));
  add(written, () => written.fill(8));
  const copies = cases.map(([bytes]) => bytes.slice());
  const buffer = new CommandBuffer();
  const sent = cases.map(([bytes]) => copyCommand(["SET", "copy", bytes]));
  for (const [bytes] of cases) buffer.append(["SET", "k", bytes]);
  for (const [, change] of cases) change();
  for (const command of sent) buffer.append(command);
  assertEquals(
    takeAll(buffer),
    concat([
      ...copies.map((copy) => expected(["SET", "k", copy])),
      ...copies.map((copy) => expected(["SET", "copy", copy])),
    ]),
  );
  // What is sent again is what was sent.
  for (const [i, command] of sent.entries()) {
    assertEquals(command[2], copies[i]!);
    assertEquals(encodeCommand(command), expected(["SET", "copy", copies[i]!]));
  }
});

Deno.test("Bytes whose buffer is gone are refused, and the error says so", () => {
  const detached = new Uint8Array(46);
  structuredClone(detached, { transfer: [detached.buffer] });
  const none = new Uint8Array(0);
  structuredClone(none, { transfer: [none.buffer] });
  const resizable = new ArrayBuffer(100, { maxByteLength: 100 });
  const shrunk = new Uint8Array(resizable, 50, 50);
  resizable.resize(60);
  for (const bad of [detached, none, shrunk]) {
    for (
      const refuse of [
        () => encodeCommand(["SET", "k", bad]),
        () => copyCommand(["SET", "k", bad]),
        () => new CommandBuffer().append(["SET", "k", bad]),
      ]
    ) {
      assertThrows(
        refuse,
        TypeError,
        "Cannot send SET: the buffer of argument 2, a Uint8Array, has been transferred or has shrunk",
      );
    }
  }
});

Deno.test("A command is sent as its elements are when they are read, once", () => {
  let reads = 0;
  const changing = ["SET", "k"];
  Object.defineProperty(changing, 1, { get: () => `read ${++reads}` });
  const seen = new Set<PropertyKey>();
  const proxy = new Proxy(["SET", "k", "v"], {
    get(target, key) {
      if (/^\d+$/.test(String(key))) {
        assert(!seen.has(key), `${String(key)} was read twice`);
        seen.add(key);
      }
      return Reflect.get(target, key);
    },
  });
  class Odd extends Array {
    override [Symbol.iterator]() {
      return ["FLUSHALL"][Symbol.iterator]();
    }
  }
  const cases: [given: unknown[], words: string[]][] = [
    [changing, ["SET", "read 1"]],
    [proxy, ["SET", "k", "v"]],
    [Object.assign(new Odd(), ["GET", "k"]), ["GET", "k"]],
  ];
  for (const [given, words] of cases) {
    const copy = copyCommand(given as unknown as Command);
    assertEquals(Object.getPrototypeOf(copy), Array.prototype);
    assertEquals(encodeCommand(copy), expected(words));
  }
});

Deno.test("Only a Uint8Array itself is taken for bytes, whatever it says of its length", () => {
  class Liar extends Uint8Array {
    override get length() {
      return 1;
    }
    override get byteLength() {
      return 1;
    }
    static get [Symbol.species](): never {
      throw new Error("asked for a species");
    }
  }
  const liar = new Liar(3).fill(9);
  assertEquals(
    bothWays(["SET", "k", liar]),
    expected(["SET", "k", Uint8Array.of(9, 9, 9)]),
  );
  assertEquals(copyCommand(["SET", "k", liar])[2], Uint8Array.of(9, 9, 9));

  const imitations: unknown[] = [
    new Proxy(new Uint8Array(2), {}),
    Object.create(Uint8Array.prototype),
    new Uint8ClampedArray(2),
    Object.setPrototypeOf(new Float64Array(2), Uint8Array.prototype),
    new DataView(new ArrayBuffer(2)),
  ];
  const throwing = {
    toString() {
      throw new Error(SECRET);
    },
    get constructor() {
      throw new Error(SECRET);
    },
  };
  for (const bad of [...imitations, throwing, { constructor: { name: 1 } }]) {
    for (
      const refuse of [
        () => encodeCommand(["SET", "k", bad as string]),
        () => copyCommand(["SET", "k", bad as string]),
        () => checkCommand(["SET", "k", bad as string]),
        () => new CommandBuffer().append(["SET", "k", bad as string]),
      ]
    ) {
      const error = assertThrows(refuse, TypeError, "argument 2 is an object");
      assert(!error.message.includes(SECRET), error.message);
    }
  }
});

Deno.test("An argument over the server's limit of 512 MiB is refused, and so is a command over 2 GiB", () => {
  const most = new Uint8Array(512 * 1024 * 1024); // its pages are never touched
  const more = new Uint8Array(most.length + 1);
  const cases: [command: Command, message: string][] = [
    [
      ["SET", "k", more],
      "Cannot send SET: argument 2 has 536870913 bytes, expected at most 536870912",
    ],
    [
      ["MSET", ...["a", "b", "c", "d"].flatMap((key) => [key, most])],
      "Cannot send MSET: it has 2147483656 bytes, expected at most 2147483647 in all",
    ],
  ];
  for (const [command, message] of cases) {
    assertThrows(() => checkCommand(command), RangeError, message);
    assertThrows(() => encodeCommand(command), RangeError, message);
    const buffer = new CommandBuffer();
    assertThrows(() => buffer.append(command), RangeError, message);
    assertEquals([buffer.size, buffer.owed], [0, 0]);
  }
  checkCommand(["SET", "k", most]);
  const text = "é".repeat(268_435_456); // a byte of memory each, two on the wire
  checkCommand(["SET", "k", text]);
  assertThrows(
    () => new CommandBuffer().append(["SET", "k", `${text}é`]),
    RangeError,
    "Cannot send SET: argument 2 has 536870914 bytes, expected at most 536870912",
  );
});

Deno.test("A long name is cut in errors", () => {
  const error = assertThrows(() => encodeCommand(["N".repeat(1e6), NaN]));
  assertEquals(
    (error as Error).message.split(":")[0],
    `Cannot send ${"N".repeat(64)}`,
  );
});

Deno.test("CommandBuffer writes what is large by itself, and counts the replies to the rest", () => {
  const buffer = new CommandBuffer(true);
  const value = new Uint8Array(256 * 1024).fill(7);
  const small: Command = ["SET", "é", "1"];
  const large = copyCommand(["SET", "b", value]);
  buffer.append(small);
  buffer.append(["CLIENT", "REPLY", "SKIP"], false);
  buffer.append(large);
  buffer.append(large, false);
  buffer.append(small);
  buffer.append(["SET", "c", new Uint8Array(10)]);
  const next = () => {
    const bytes = buffer.take();
    return [bytes.slice(), buffer.owed, bytes.buffer] as const;
  };
  assertEquals(buffer.owed, 4);
  const [first, owed] = next();
  assertEquals(
    first,
    concat([small, ["CLIENT", "REPLY", "SKIP"] as const].map(encodeCommand)),
  );
  assertEquals(owed, 3);
  const [second, owedThen, once] = next();
  assertEquals(second, encodeCommand(large));
  assertEquals(owedThen, 2);
  const [third, owedStill, twice] = next();
  assertEquals(third, second);
  assertEquals(owedStill, 2);
  assertStrictEquals(once, twice); // it was copied when the command was made, and never again
  assertEquals(buffer.size, encodeCommand(small).length - 1 + 37);
  assertEquals(
    next()[0],
    concat([
      encodeCommand(small),
      encodeCommand(["SET", "c", new Uint8Array(10)]),
    ]),
  );
  assertEquals([buffer.size, buffer.owed], [0, 0]);
  assertEquals(buffer.take().length, 0);
});

Deno.test("CommandBuffer never makes one write of more than about 16 MB", () => {
  const buffer = new CommandBuffer();
  const value = new Uint8Array(200_000).fill(7);
  const count = 250;
  for (let i = 0; i < count; i++) buffer.append(["SET", i, value]);
  const writes: number[] = [];
  while (buffer.owed > 0) {
    const { length } = buffer.take();
    writes.push(length);
    assert(length > 0 && length <= 16 * 1024 * 1024, `${length}`);
  }
  assertEquals(writes.length, 4);
  assertEquals(buffer.size, 0);
});

Deno.test("Texts that fit into a string each, but not together, are gathered", () => {
  const buffer = new CommandBuffer();
  const text = "x".repeat(60_000);
  const command: Command = ["MSET", ...new Array<string>(1000).fill(text)];
  for (let i = 0; i < 10; i++) buffer.append(command); // 600 MB
  assertEquals(buffer.owed, 10);
  const { length } = encodeCommand(command);
  assertEquals(buffer.size, 10 * length);
  assertEquals(buffer.take().length, length);
  const many: Command = ["DEL", ...new Array<string>(10_000).fill(text)];
  assertEquals(
    encodeCommand(many).length,
    "*10001\r\n$3\r\nDEL\r\n".length + 10_000 * 60_010,
  );
});

Deno.test("CommandBuffer encodes right before, in and after the time when it looks for what is not ASCII", () => {
  const random = new Random();
  const buffer = new CommandBuffer(true);
  for (let write = 0; write < 300; write++) {
    const commands = Array.from({ length: 40 }, (_, i): Command => [
      "ZADD",
      `key ${i}`,
      1700000000,
      write % 100 === 20 && i === 7
        ? "안녕 é 😀 \ud83d"
        : "x".repeat(random.below(99)),
    ]);
    for (const command of commands) buffer.append(command);
    assertEquals(
      buffer.take(),
      concat(commands.map((c) => expected(c.map(wordOf)))),
    );
    assertEquals(buffer.size, 0);
  }
});

Deno.test("One argument that is not ASCII does not slow down the commands around it", () => {
  const batch = (odd: string) =>
    Array.from({ length: 64 }, (_, i): Command => [
      "ZADD",
      "bench:zset",
      "1700000000",
      i === 32 ? odd : `6f1ed002-ab5d-4b8e-9a55-1f7c2c9f2b${i}`,
    ]);
  const buffer = new CommandBuffer(true);
  const timeOf = (commands: readonly Command[]) => {
    let best = Infinity;
    for (let round = 0; round < 300; round++) {
      const startedAt = performance.now();
      for (let i = 0; i < 10; i++) {
        for (const command of commands) buffer.append(command);
        buffer.take();
      }
      best = Math.min(best, performance.now() - startedAt);
    }
    return best;
  };
  const [plain, odd] = ["e", "é".repeat(18)].map(batch);
  const ratios: number[] = [];
  do {
    ratios.push(timeOf(odd!) / timeOf(plain!));
  } while (ratios.at(-1)! >= 2.5 && ratios.length < 5);
  // It was 29.
  assertLess(ratios.at(-1)!, 2.5, `${ratios}`);
});

Deno.test("A real server stores each argument byte for byte", async () => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  await redis.askAll(
    ARGUMENTS.map(({ argument }, i): Command => ["SET", i, argument]),
  );
  const values = await redis.askAll(
    ARGUMENTS.map((_, i): Command => ["GET", i]),
    { binary: true },
  );
  const lengths = await redis.askAll(
    ARGUMENTS.map((_, i): Command => ["STRLEN", i]),
  );
  for (const [i, { title, sent }] of ARGUMENTS.entries()) {
    assertEquals(values[i], Uint8Array.from(bytesOf(sent)), title);
    assertEquals(lengths[i], bytesOf(sent).length, title);
  }
});

Deno.test("A real server finds a key that is not ASCII by its text and by its bytes", async () => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  for (const key of ["ключ", "😀", "a b", "\r\n"]) {
    await redis.ask("SET", key, key);
    assertEquals(await redis.ask("GET", utf8.encode(key)), key);
    assertEquals(await redis.ask("EXISTS", key), 1);
  }
});

Deno.test("A real server reads every number back as the same number", async () => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  const numbers = [
    0,
    -0,
    0.1,
    1e21,
    -1e-7,
    5e-324,
    Number.MAX_VALUE,
    Infinity,
    -Infinity,
  ];
  for (const number of numbers) {
    await redis.ask("ZADD", "z", number, "member");
    const score = await redis.ask("ZSCORE", "z", "member");
    const read = score === "inf"
      ? Infinity
      : score === "-inf"
      ? -Infinity
      : Number(score);
    assert(read === number, `${number} came back as ${String(score)}`);
  }
});
