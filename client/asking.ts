// ASKING: it lets a server that imports a hash slot answer the next command on its connection.
import type { Slot } from "../pool/connection/in_flight.ts";
import type { PushRight } from "../pool/connection/push_right.ts";

/** Drops the reply: a refusal shows in that to the command which follows. */
const ASKING: Slot = {
  command: ["ASKING"],
  binary: false,
  extraReplyTimeoutMs: 0,
  resolve() {},
  lose() {},
};

/**
 * Pushes ASKING. The command that it is for must be pushed in the same turn:
 * any command ends what ASKING has allowed, another caller's as well.
 *
 * @see {@link https://redis.io/docs/latest/commands/asking/}
 */
export const pushAsking = (right: PushRight): void => right.push(ASKING);
