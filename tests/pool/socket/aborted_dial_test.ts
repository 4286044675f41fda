// That a dial which is aborted keeps no socket, whatever moment it is.

import "../../support/strict.ts";
import { assertEquals, assertGreater, assertRejects } from "@std/assert";
import { dial } from "../../../pool/socket/dial.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { FakeServer } from "../../support/fake_server.ts";
import { until } from "../../support/wait.ts";

/** Keeps the process busy. */
function work(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

Deno.test("A dial that is aborted in the moment in which its socket opens keeps no socket", async () => {
  let open = 0;
  await using server = new FakeServer(async (connection) => {
    open++;
    await connection.read(new Uint8Array(1)).catch(() => {});
    open--;
  });
  const endpoint = new Endpoint(`redis://${server.address}`);
  let aborted = 0;
  for (let i = 0; i < 800; i++) {
    const controller = new AbortController();
    const dialed = dial(endpoint, { signal: controller.signal });
    // The socket and the timer are due at the same time, in about a fifth of the rounds.
    setTimeout(() => controller.abort("over"), 0);
    work((i % 50) / 40);
    try {
      (await dialed).close();
    } catch (error) {
      assertEquals(error, "over");
      aborted++;
    }
  }
  assertGreater(aborted, 0);
  await until(() => open === 0, "no socket is open");
});

Deno.test("A dial with a signal that has aborted opens no socket", async () => {
  await using server = new FakeServer(() => {});
  const endpoint = new Endpoint(`redis://${server.address}`);
  const reason = new Error("over");
  const signal = AbortSignal.abort(reason);
  assertEquals(await assertRejects(() => dial(endpoint, { signal })), reason);
  assertEquals(server.accepted, 0);
});
