// That a socket of Node reads, writes and ends like one of Deno.

import "../../support/strict.ts";
import { Duplex } from "node:stream";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import { NodeSocket } from "../../../pool/socket/node_socket.ts";

/** A duplex whose other side is this test. */
function pair(): {
  stream: Duplex;
  socket: NodeSocket;
  written: Uint8Array[];
  answer: (error?: Error) => void;
  unrefs: () => number;
} {
  const written: Uint8Array[] = [];
  let done: ((error?: Error | null) => void) | undefined;
  let unrefs = 0;
  const stream = new Duplex({
    read() {},
    write(bytes: Uint8Array, _encoding: unknown, callback) {
      written.push(bytes);
      done = callback;
    },
  });
  const socket = new NodeSocket(
    Object.assign(stream, { unref: () => void unrefs++ }),
  );
  return {
    stream,
    socket,
    written,
    answer: (error) => done!(error),
    unrefs: () => unrefs,
  };
}

Deno.test("A read gets what is there, no more than its buffer, and waits for the rest", async () => {
  const { stream, socket } = pair();
  const buffer = new Uint8Array(4);
  const waiting = socket.read(buffer);
  await delay(5);
  stream.push(new Uint8Array([1, 2, 3, 4, 5, 6]));
  assertEquals([await waiting, [...buffer]], [4, [1, 2, 3, 4]]);
  assertEquals([await socket.read(buffer), buffer[0], buffer[1]], [2, 5, 6]);
  const more = socket.read(buffer);
  stream.push(new Uint8Array([7]));
  assertEquals([await more, buffer[0]], [1, 7]);
  socket.close();
});

Deno.test("The end of a stream is null, after all that came before it", async () => {
  const { stream, socket } = pair();
  const buffer = new Uint8Array(4);
  stream.push(new Uint8Array([1]));
  stream.push(null);
  assertEquals(await socket.read(buffer), 1);
  assertEquals(await socket.read(buffer), null);
  assertEquals(await socket.read(buffer), null);

  const idle = pair();
  const waiting = idle.socket.read(buffer);
  await delay(5);
  idle.stream.push(null);
  assertEquals(await waiting, null);
  assertEquals(idle.stream.destroyed, false);
});

Deno.test("An error of a stream rejects the read that waits, and those after it", async () => {
  const { stream, socket } = pair();
  const waiting = assertRejects(
    () => socket.read(new Uint8Array(4)),
    Error,
    "cut",
  );
  await delay(5);
  stream.destroy(new Error("cut"));
  await waiting;
  await assertRejects(() => socket.read(new Uint8Array(4)), Error, "cut");
});

Deno.test("Closing destroys the stream and ends a read that waits", async () => {
  const { stream, socket } = pair();
  const waiting = socket.read(new Uint8Array(4));
  await delay(5);
  socket.close();
  assert(stream.destroyed);
  assertEquals(await waiting, null);
});

Deno.test("A write ends when the stream says so, with bytes of its own", async () => {
  const { socket, written, answer } = pair();
  const bytes = new Uint8Array([1, 2, 3]);
  let isOver = false;
  const writing = socket.write(bytes).finally(() => isOver = true);
  bytes.fill(0);
  await delay(5);
  assert(!isOver);
  assertEquals([...written[0]!], [1, 2, 3]);
  answer();
  assertEquals(await writing, 3);

  const failing = assertRejects(() => socket.write(bytes), Error, "EPIPE");
  answer(new Error("EPIPE"));
  await failing;
  socket.close();
});

Deno.test("A stream is unreferenced where that is asked for", () => {
  const { socket, unrefs } = pair();
  assertEquals(unrefs(), 0);
  socket.unref();
  assertEquals(unrefs(), 1);
  socket.close();
});
