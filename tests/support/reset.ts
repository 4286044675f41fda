// Closes a socket of node:net with a reset, on every version of Deno.

import net from "node:net";

/** Since Deno 2.7. */
const isBuiltIn = "resetAndDestroy" in net.Socket.prototype;

/** Opened before any test runs, so that no test seems to leak it. */
const libc = isBuiltIn ? undefined : Deno.dlopen(
  Deno.build.os === "darwin" ? "libSystem.B.dylib" : "libc.so.6",
  { connect: { parameters: ["i32", "buffer", "u32"], result: "i32" } },
);

/** A socket address of the family AF_UNSPEC. */
const NO_ADDRESS = new Uint8Array(16);

/** Drops the connection with a reset, and what was not sent with it. */
export function resetAndDestroy(socket: net.Socket): void {
  if (libc === undefined) {
    socket.resetAndDestroy();
    return;
  }
  // Before 2.7 Deno always closes with a FIN. On Linux, connecting a socket to
  // an address of no family drops its connection with a reset:
  // https://man7.org/linux/man-pages/man2/connect.2.html
  const { _handle } = socket as { _handle?: { fd: number } };
  if (_handle) libc.symbols.connect(_handle.fd, NO_ADDRESS, NO_ADDRESS.length);
  socket.destroy();
}
