// The loss of a command with its connection, as a caller sees it.
import { assertRejects } from "@std/assert";
import { ConnectionClosedError } from "../../mod.ts";

/** What a call rejects with whose connection ended. */
export const lossOf = (
  call: Promise<unknown>,
): Promise<ConnectionClosedError> =>
  assertRejects(() => call, ConnectionClosedError);
