// How a command that blocks for long is sent: in slices, one after the other.
import type { Command, Reply } from "../resp/types.ts";
import { type Block, newestId, SLICE } from "./slices.ts";

/** Sends a command on the connection; an error reply is a value. */
type Push = (command: Command) => Promise<Reply>;

/** A timeout that ends earlier than this, in milliseconds, was not the server's own. */
const EARLY_MS = 100;

/**
 * Sends a command again and again, each time for a short while, until it is
 * answered or its own time is up. The first slice is pushed before this
 * returns, unless the id of `$` must be asked for.
 *
 * @param command The command.
 * @param block How it can be sent in slices.
 * @param push Sends a command on a connection that nothing else is sent on meanwhile.
 * @returns The reply to the last slice.
 */
export async function sendInSlices(
  command: Command,
  block: Block,
  push: Push,
): Promise<Reply> {
  const dueAt = performance.now() + block.ms;
  const fixed = block.newest.length === 0
    ? command
    : await withFixedIds(command, block, push);
  if (fixed === undefined) return await push(command);
  while (true) {
    const leftMs = Math.max(1, dueAt - performance.now());
    const isLast = leftMs <= SLICE.ms;
    const sliceMs = Math.min(leftMs, SLICE.ms);
    const sentAt = performance.now();
    const reply = await push(block.lasting(sliceMs, fixed));
    if (isLast || !block.hasTimedOut(reply)) return reply;
    // CLIENT UNBLOCK has ended it.
    if (performance.now() - sentAt < sliceMs - EARLY_MS) return reply;
  }
}

/**
 * XREAD with `$` reads what comes after it was sent, and a second one would
 * miss what came between them: so `$` is replaced by the id that it stands for.
 *
 * @returns `undefined` if the server does not say the id.
 */
async function withFixedIds(
  command: Command,
  { newest }: Block,
  push: Push,
): Promise<Command | undefined> {
  const [name, ...args] = command;
  const answers = await Promise.all(
    newest.map(({ key }) => push(["XREVRANGE", key, "+", "-", "COUNT", 1])),
  );
  for (const [i, answer] of answers.entries()) {
    const id = newestId(answer);
    if (id === undefined) return undefined;
    args[newest[i]!.at - 1] = id;
  }
  return [name, ...args];
}
