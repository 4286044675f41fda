// The connection of a slot, and when it is used.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { WatchSlot } from "../../../cli/watch/watch_slot.ts";
import { open } from "../../../pool/connection/open.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { startRedis } from "../../support/redis_server.ts";

Deno.test("A slot whose connection is used twice at once has one timer, and none once it is released", async () => {
  await using server = await startRedis();
  const connection = await open(new Endpoint(server.url), {
    dial,
    connectTimeoutMs: 5000,
    replyTimeoutMs: 5000,
    number: 1,
    signal: new AbortController().signal,
  });
  let answers = 0;
  const slot = new WatchSlot(
    1,
    { role: "busy", everyMs: 60_000 },
    () => answers++,
  );
  slot.adopt(connection);
  assertEquals(slot.wellAt, connection.openedAt);
  await delay(50);
  await Promise.all([slot.use(), slot.use()]);
  assertEquals(answers, 2);
  slot.release(); // a timer that is left fails this test
  connection.close();
});
