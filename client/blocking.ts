// How a command that blocks for long is sent: in slices, so that a peer that has vanished is noticed in time.
import type { Command, Reply } from "../resp/types.ts";
import { keysOf } from "./commands/keys.ts";
import type { Wait } from "./commands/row.ts";
import { routeOf } from "./commands/routing.ts";
import { numberOf, textOf } from "./commands/words.ts";

/**
 * How long a command blocks before it is sent again. A peer that has vanished
 * is noticed after this time and the reply timeout: no runtime lets a TCP
 * connection ask earlier than the system does, on Linux after two hours. Until then
 * a server may hand an element to a connection that leads nowhere. Tests shorten it.
 */
export const SLICE = { ms: 20_000 };

/** A command that blocks for longer than a slice, and can be sent again where it has timed out. */
interface Block {
  /** How long the caller lets it block, in milliseconds. */
  readonly ms: number;
  /** Streams of which it reads what is new (`$`): the key of each, and which argument its id is. */
  readonly newest: readonly { readonly key: Command[number]; at: number }[];
  /** The command with another timeout, in milliseconds. */
  lasting(ms: number, command: Command): Command;
  /** Whether the server has answered only because the time was up. */
  hasTimedOut(reply: Reply): boolean;
}

/**
 * How a command can be sent in slices.
 *
 * @param command The command.
 * @returns `undefined` if it does not block, not for long, or must not be sent again.
 */
export function blockOf(command: Command): Block | undefined {
  const route = routeOf(command);
  if (
    !("extraReplyTimeoutMs" in route) ||
    !(route.extraReplyTimeoutMs > SLICE.ms)
  ) return undefined;
  const { timeoutAt, hasTimedOut } = route;
  const newest = newestOf(command, route);
  // A timeout that is no number is for the server to refuse.
  if (
    hasTimedOut === undefined || newest === undefined ||
    !(numberOf(command[timeoutAt]) >= 0)
  ) return undefined;
  return {
    ms: route.extraReplyTimeoutMs,
    newest,
    lasting: (ms, command) => lasting(command, route, ms),
    hasTimedOut: (reply) => hasTimedOut(reply, command),
  };
}

/** A command with another timeout. Before Redis 6 a timeout in seconds is a whole number. */
function lasting(
  [name, ...args]: Command,
  { timeoutAt, unitMs }: Wait,
  ms: number,
  isFraction = false,
): Command {
  args[timeoutAt - 1] = isFraction
    ? Math.ceil(ms) / unitMs
    : Math.ceil(ms / unitMs);
  return [name, ...args];
}

/**
 * A command that blocks for less time than its caller has said.
 *
 * @param command The command.
 * @param ms How long, in milliseconds; `Infinity` or `NaN` leaves it as it is.
 * @param version The version of the server; since Redis 6 seconds have fractions.
 */
export function withTimeout(
  command: Command,
  ms: number,
  version = "0",
): Command {
  const route = routeOf(command);
  if (!("extraReplyTimeoutMs" in route) || !Number.isFinite(ms)) {
    return command;
  }
  // With 0 it would block without end.
  return lasting(command, route, Math.max(ms, 1), parseInt(version) >= 6);
}

/** The streams of which a command reads what is new; `undefined` if it cannot be sent in slices. */
function newestOf(
  command: Command,
  { idsAt }: Wait,
): Block["newest"] | undefined {
  if (idsAt === undefined) return [];
  const newest: Block["newest"][number][] = [];
  for (const [i, key] of keysOf(command).entries()) {
    const id = textOf(command[idsAt + i]);
    // `+` reads the last entry of a stream: an earlier one could be missed between two slices.
    if (id === "+") return undefined;
    if (id === "$") newest.push({ key, at: idsAt + i });
  }
  return newest;
}

/** Sends a command on the connection; an error reply is a value. */
type Push = (command: Command) => Promise<Reply>;

/** A slice that ends this much too early, in milliseconds, has not timed out. */
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
    // CLIENT UNBLOCK has ended it: the same reply, too early for a timeout.
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

/**
 * Which id `$` stands for, by the answer to XREVRANGE key + - COUNT 1.
 *
 * @returns `undefined` if the server did not say it.
 */
function newestId(answer: Reply): string | undefined {
  if (!Array.isArray(answer)) return undefined;
  const [entry] = answer;
  if (entry === undefined) return "0-0"; // whatever comes is new
  return Array.isArray(entry) && typeof entry[0] === "string"
    ? entry[0]
    : undefined;
}
