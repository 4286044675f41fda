// That a socket of Node reads, writes and ends like one of Deno.

import "../../support/strict.ts";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import {
  assert,
  assertEquals,
  assertLess,
  assertLessOrEqual,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type NetSocket,
  NodeSocket,
} from "../../../pool/socket/node_socket.ts";
import { until } from "../../support/wait.ts";

/** An open socket, the peer's end of it, and what each side is. */
async function pair(): Promise<
  AsyncDisposable & { socket: NodeSocket; net: Socket; peer: Socket }
> {
  const { promise, resolve } = Promise.withResolvers<Socket>();
  const server = createServer({ allowHalfOpen: true }, resolve);
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address() as AddressInfo;
  let net: Socket;
  const socket = new NodeSocket((onread) => {
    net = connect({ port, host: "127.0.0.1", onread } as never);
    return net as unknown as NetSocket;
  }, "connect");
  await socket.opened(new AbortController().signal);
  const peer = await promise;
  peer.on("error", () => {});
  return {
    socket,
    net: net!,
    peer,
    async [Symbol.asyncDispose]() {
      socket.close();
      peer.destroy();
      await new Promise<void>((closed) => server.close(() => closed()));
    },
  };
}

Deno.test("A read gets what is there, no more than its buffer, and waits for the rest", async () => {
  await using ends = await pair();
  const { socket, peer } = ends;
  const buffer = new Uint8Array(4);
  const waiting = socket.read(buffer);
  await delay(5);
  peer.write(new Uint8Array([1, 2, 3, 4, 5, 6]));
  assertEquals([await waiting, [...buffer]], [4, [1, 2, 3, 4]]);
  assertEquals([await socket.read(buffer), buffer[0], buffer[1]], [2, 5, 6]);
  const more = socket.read(buffer);
  peer.write(new Uint8Array([7]));
  assertEquals([await more, buffer[0]], [1, 7]);
});

Deno.test("While no read waits the peer is paused, and every byte comes in its order later", async () => {
  await using ends = await pair();
  const { socket, net, peer } = ends;
  const SIZE = 20_000_000;
  const bytes = new Uint8Array(SIZE).map((_, i) => i % 251);
  let isWritten = false;
  peer.write(bytes, () => isWritten = true);
  await until(() => net.bytesRead > 0, "a byte");
  await delay(50);
  assert(!isWritten);
  const { bytesRead } = net;
  await delay(50);
  assertEquals(net.bytesRead, bytesRead);
  assertLessOrEqual(bytesRead, 640 * 1024);
  const buffer = new Uint8Array(100_003);
  let got = 0;
  while (got < SIZE) {
    const count = (await socket.read(buffer))!;
    for (let i = 0; i < count; i += 997) {
      assertEquals(buffer[i], (got + i) % 251);
    }
    got += count;
  }
  assertEquals(got, SIZE);
});

Deno.test("The end of a stream is null, after all that came before it", async () => {
  await using ends = await pair();
  const { socket, peer } = ends;
  peer.end(new Uint8Array([1, 2]));
  await delay(20);
  const buffer = new Uint8Array(1);
  assertEquals([await socket.read(buffer), buffer[0]], [1, 1]);
  assertEquals([await socket.read(buffer), buffer[0]], [1, 2]);
  assertEquals(await socket.read(buffer), null);
  assertEquals(await socket.read(buffer), null);
});

Deno.test("A reset rejects the read that waits, and those after it", async () => {
  await using ends = await pair();
  const { socket, peer } = ends;
  if (!("resetAndDestroy" in peer)) return; // since Deno 2.7
  const reset = () =>
    assertRejects(() => socket.read(new Uint8Array(4)), Error, "ECONNRESET");
  const waiting = reset();
  await delay(5);
  peer.resetAndDestroy();
  await waiting;
  await reset();
});

Deno.test("Closing ends a read that waits and drops what was not read", async () => {
  await using ends = await pair();
  const { socket, net, peer } = ends;
  const waiting = assertRejects(
    () => socket.read(new Uint8Array(4)),
    Error,
    "the socket was closed",
  );
  await delay(5);
  socket.close();
  await waiting;
  assert(net.destroyed);
  peer.write("late");
  await delay(5);
  await assertRejects(() => socket.read(new Uint8Array(4)));
  await assertRejects(() => socket.write(new Uint8Array(4)));
});

Deno.test("A large write is made in parts of 256 KiB, so that each is seen to be progress", async () => {
  await using ends = await pair();
  const { socket, peer } = ends;
  peer.pause();
  const bytes = new Uint8Array(64 * 1024 * 1024);
  let written = 0;
  let isOver = false;
  const writing = (async () => {
    while (written < bytes.length) {
      const count = await socket.write(bytes.subarray(written));
      assertLessOrEqual(count, 256 * 1024);
      written += count;
    }
    isOver = true;
  })();
  await until(() => written > 0, "a part");
  await delay(100);
  assertLess(written, bytes.length);
  assert(!isOver);
  peer.resume();
  await writing;
});

Deno.test("The bytes of a write that has ended may be used again", async () => {
  await using ends = await pair();
  const { socket, peer } = ends;
  const SIZE = 200_000;
  const COUNT = 100;
  const got: Uint8Array[] = [];
  peer.pause();
  peer.on("data", (bytes: Uint8Array) => got.push(bytes.slice()));
  const bytes = new Uint8Array(SIZE);
  setTimeout(() => peer.resume(), 50);
  for (let i = 0; i < COUNT; i++) {
    bytes.fill(i);
    let written = 0;
    while (written < SIZE) {
      written += await socket.write(bytes.subarray(written));
    }
    bytes.fill(255);
  }
  const total = () => got.reduce((sum, { length }) => sum + length, 0);
  await until(() => total() === SIZE * COUNT, "all of it");
  const all = new Uint8Array(await new Blob(got as BlobPart[]).arrayBuffer());
  for (let i = 0; i < COUNT; i++) {
    const one = all.subarray(i * SIZE, (i + 1) * SIZE);
    assert(one.every((byte) => byte === i), `${i}`);
  }
});

Deno.test("A dial that is given up closes its socket, and so does one that fails", async () => {
  let net: Socket | undefined;
  const make = () =>
    new NodeSocket((onread) => {
      net = connect({ port: 1, host: "127.0.0.1", onread } as never);
      return net as unknown as NetSocket;
    }, "connect");
  await assertRejects(
    () => make().opened(AbortSignal.abort(new Error("enough"))),
    Error,
    "enough",
  );
  assert(net!.destroyed);
  await assertRejects(
    () => make().opened(new AbortController().signal),
    Error,
    "ECONNREFUSED",
  );
  assert(net!.destroyed);
});
