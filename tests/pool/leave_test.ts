// That a pool which is out of use takes no connection in, whatever is under way at that moment.

import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { Connection } from "../../pool/connection/connection.ts";
import { Pool } from "../../pool/pool.ts";

const OPTIONS = {
  endpoint: "nowhere:1",
  maxConnections: 2,
  checkoutTimeoutMs: 5000,
  maxWaiting: 10,
  idleTimeoutMs: 60_000,
  maxAgeMs: 60_000,
  validateAfterIdleMs: 60_000,
};

Deno.test("A connection that is opened in the turn in which its pool is left is closed, and no call gets it", async () => {
  for (const isOpenFirst of [true, false]) {
    const { promise, resolve } = Promise.withResolvers<Connection>();
    const outcomes: unknown[] = [];
    const opened: number[] = [];
    let connection: Connection | undefined;
    const pool = new Pool({
      ...OPTIONS,
      open: (number, observer) => {
        connection = new Connection({
          read: () => new Promise<never>(() => {}),
          write: ({ length }) => Promise.resolve(length),
          close: () => {},
        }, { endpoint: "nowhere:1", number, observer, replyTimeoutMs: 1000 });
        connection.established({});
        return promise;
      },
      onOpen: ({ number }) => opened.push(number),
      onClose: ({ how }) => outcomes.push(how),
    });
    pool.checkout({
      kind: "shared",
      take: () => outcomes.push("taken"),
      fail: (reason) => outcomes.push(reason),
    });
    if (isOpenFirst) resolve(connection!);
    const left = pool.leave("left");
    resolve(connection!);
    await left;
    assertEquals(outcomes, ["left", "requested"]);
    assertEquals([opened, connection!.report?.how], [[], "requested"]);
    assertEquals([pool.isEmpty, pool.shared()], [true, undefined]);
  }
});
