// Heads of messages: recognised whole, or not at all.

import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { Channel } from "../../pubsub/channel.ts";
import { Heads } from "../../pubsub/heads.ts";
import { ReplyParser } from "../../resp/parser.ts";
import { Random } from "../support/random.ts";

const utf8 = new TextEncoder();

/** A message as the server writes it. */
const written = (kind: "message" | "smessage", name: string, payload: string) =>
  [`*3`, `$${kind.length}`, kind, `$${utf8.encode(name).length}`, name]
    .concat(`$${utf8.encode(payload).length}`, payload, "").join("\r\n");

Deno.test("A message is recognised by the bytes of its channel, and by no others", () => {
  const heads = new Heads();
  const names = [
    "a",
    "b",
    "",
    "é☃",
    "x".repeat(999),
    "x".repeat(1000),
    "a\r\n",
  ];
  const channels = names.map((name) => new Channel("channel", name));
  const shards = names.map((name) => new Channel("shard", name));
  for (const channel of [...channels, ...shards]) heads.add(channel);
  heads.add(new Channel("pattern", "p"));
  const random = new Random();
  for (let i = 0; i < 500; i++) {
    const index = random.below(names.length);
    const isShard = random.oneIn(2);
    const parser = new ReplyParser();
    const text = written(isShard ? "smessage" : "message", names[index]!, "é");
    parser.feed(utf8.encode(text));
    const payload = parser.nextBehind(heads, false);
    if (names[index]!.length === 1000) {
      assertEquals(payload, undefined); // left to next(), as all longer names
      continue;
    }
    assertEquals(payload, "é");
    assertEquals(heads.recognised, (isShard ? shards : channels)[index]);
    assertEquals([parser.next(), parser.partialLength], [undefined, 0]);
  }
  for (
    const other of [
      written("message", "c", "x"),
      written("message", "ab", "x"),
      written("message", "a", "x").replace("*3", "*4"),
      written("message", "a", "x").replace("$1", "$01"),
      written("message", "a", "x").replace("$7", "$8"),
      "+OK\r\n",
      "*3\r\n$7\r\nmessage\r\n$9",
      "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n",
      "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n:1\r\n",
      "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$-1\r\n",
      "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nxyz",
    ]
  ) {
    const parser = new ReplyParser();
    parser.feed(utf8.encode(other));
    assertEquals(parser.nextBehind(heads, false), undefined, other);
  }
  for (const channel of channels) heads.remove(channel);
  for (const [i, channel] of shards.entries()) {
    const parser = new ReplyParser();
    parser.feed(utf8.encode(written("message", channel.name, "x")));
    assertEquals(parser.nextBehind(heads, false), undefined);
    parser.feed(utf8.encode(written("smessage", names[i]!, "x")));
  }
});

Deno.test("A message is the same wherever reads end, in text and in bytes", () => {
  const heads = new Heads();
  heads.add(new Channel("channel", "ch"));
  const text = [
    written("message", "ch", "one"),
    written("message", "ch", "x".repeat(999)),
    written("message", "ch", "y".repeat(1000)),
    written("message", "other", "two"),
    written("message", "ch", ""),
  ].join("");
  const bytes = utf8.encode(text);
  for (const binary of [false, true]) {
    for (let cut = 0; cut <= bytes.length; cut += 1 + Math.floor(cut / 97)) {
      const parser = new ReplyParser();
      const taken: string[] = [];
      const decode = (payload: unknown): string =>
        typeof payload === "string"
          ? payload
          : new TextDecoder().decode(payload as Uint8Array);
      const take = () => {
        while (true) {
          const payload = parser.nextBehind(heads, binary);
          if (payload !== undefined) taken.push(decode(payload));
          else {
            const reply = parser.next(binary);
            if (reply === undefined) return;
            taken.push(decode((reply as unknown[])[2]));
          }
        }
      };
      for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
        parser.feed(part);
        take();
      }
      assertEquals(taken, [
        "one",
        "x".repeat(999),
        "y".repeat(1000),
        "two",
        "",
      ]);
    }
  }
});
