// That received bytes come in order, and when the memory of those that were given away is free.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { ReadQueue } from "../../../pool/socket/read_queue.ts";

const bytes = (...values: number[]) => new Uint8Array(values);

Deno.test("Bytes that are not given away are copied: the next ones may come into the same memory", async () => {
  const queue = new ReadQueue(() => {});
  const memory = bytes(1, 2, 3);
  queue.received(memory);
  memory.fill(9);
  queue.received(memory, 1);
  const buffer = new Uint8Array(8);
  assertEquals([await queue.read(buffer), ...buffer.subarray(0, 3)], [
    3,
    ...[1, 2, 3],
  ]);
  assertEquals([await queue.read(buffer), buffer[0]], [1, 9]);
});

Deno.test("Bytes that are given away are said to be read once all of them are, and no sooner", async () => {
  const read: Uint8Array[] = [];
  const queue = new ReadQueue(() => {}, (bytes) => read.push(bytes));
  const buffer = new Uint8Array(2);

  const waiting = queue.read(buffer);
  queue.received(bytes(1, 2));
  assertEquals(read.splice(0).map(({ buffer }) => buffer.byteLength), [2]);
  assertEquals([await waiting, ...buffer], [2, 1, 2]);

  const second = queue.read(buffer);
  queue.received(bytes(3, 4, 5, 6, 7));
  assertEquals([await second, ...buffer], [2, 3, 4]);
  assertEquals([await queue.read(buffer), ...buffer], [2, 5, 6]);
  assertEquals(read.length, 0);
  assertEquals([await queue.read(buffer), buffer[0]], [1, 7]);
  assertEquals(read.map(({ buffer }) => buffer.byteLength), [5]);
});
