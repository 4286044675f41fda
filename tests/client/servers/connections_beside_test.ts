// Connections beside a pool: none is left whose command has ended.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { ConnectionsBeside } from "../../../client/servers/connections_beside.ts";
import { Connection } from "../../../pool/connection/connection.ts";

/** A dial that is still under way, and what has come of it. */
function dialed() {
  const connection = new Connection({
    read: () => new Promise<never>(() => {}),
    write: ({ length }) => Promise.resolve(length),
    close: () => {},
  }, { endpoint: "nowhere:1", number: 0, replyTimeoutMs: 1000 });
  const { promise, resolve } = Promise.withResolvers<Connection>();
  const beside = new ConnectionsBeside(() => promise);
  const outcomes: unknown[] = [];
  const end = beside.connect({
    take: () => outcomes.push("taken"),
    fail: (reason) => outcomes.push(reason),
  });
  return { beside, connection, end, outcomes, open: () => resolve(connection) };
}

Deno.test("A connection that is opened in the turn in which its command is aborted is closed, not used", async () => {
  for (const isOpenFirst of [true, false]) {
    const { beside, connection, end, outcomes, open } = dialed();
    if (isOpenFirst) open();
    end!("aborted");
    open();
    await beside.close("closed");
    assertEquals(outcomes, ["aborted"]);
    assertEquals(connection.report?.how, "requested");
  }
});

Deno.test("A connection that is opened in the turn in which its client is closed is closed, not used", async () => {
  const { beside, connection, outcomes, open } = dialed();
  open();
  await beside.close("closed");
  assertEquals(outcomes, ["closed"]);
  assertEquals(connection.report?.how, "requested");
});
