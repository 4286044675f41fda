// One command on a connection of one's own, without retry.
import type { Command, Reply } from "../mod.ts";
import { type Connection, ConnectionClosedError } from "../pool/mod.ts";

/** @throws {ConnectionClosedError} If the connection ends before the reply. */
export const ask = (connection: Connection, command: Command): Promise<Reply> =>
  new Promise((resolve, reject) =>
    connection.push({
      command,
      binary: false,
      patienceMs: 0,
      settle: resolve,
      lose: ({ report, fate }) =>
        reject(new ConnectionClosedError(report, fate)),
    })
  );
