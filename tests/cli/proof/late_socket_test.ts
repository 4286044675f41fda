// A socket whose end is read late.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { LateSocket } from "../../../cli/proof/late_socket.ts";

Deno.test("A socket whose writing was shut down accepts writes as if the server had closed by itself", async () => {
  const socket = new LateSocket({
    read: () => Promise.resolve(null),
    write: () => Promise.reject(new Deno.errors.BrokenPipe()),
    close: () => {},
  });
  await socket.shutdown();
  assertEquals(await socket.write(new Uint8Array(7)), 7);
});
