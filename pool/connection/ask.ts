// One command on one connection, without retry or replay.
import type { Command, Reply } from "../../resp/types.ts";
import { ConnectionClosedError } from "./connection_closed_error.ts";
import type { Slot } from "./in_flight.ts";

/**
 * Sends one command, without retry or replay.
 *
 * @param target An open connection, or the right to push on one.
 * @param command The command.
 * @param binary Whether bulk strings of the reply become `Uint8Array`. @default {false}
 * @param extraReplyTimeoutMs See `Slot`. @default {0}
 * @returns The reply; an error reply is a value.
 * @throws {ConnectionClosedError} If the connection ends before the reply.
 */
export function ask(
  target: { push(slot: Slot): void },
  command: Command,
  binary = false,
  extraReplyTimeoutMs = 0,
): Promise<Reply> {
  return new Promise((resolve, reject) =>
    target.push({
      command,
      binary,
      extraReplyTimeoutMs,
      resolve,
      lose: ({ report, fate }) =>
        reject(new ConnectionClosedError(report, fate)),
    })
  );
}
