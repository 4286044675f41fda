// Long blocking commands in slices, so that a peer that has vanished is noticed in time.
import type { Command, Reply } from "../resp/mod.ts";
import { routeOf, textOf, upper } from "./commands/routing.ts";

/**
 * How long a command blocks before it is sent again. A peer that has vanished
 * is noticed after this time and the reply timeout: no runtime lets a TCP
 * connection ask earlier than the system does, on Linux after two hours. For as
 * long a server may hand an element to a connection that leads nowhere. Tests shorten it.
 */
export const SLICE = { ms: 20_000 };

/** A command that blocks for longer than a slice, and can be sent again where it has timed out. */
export interface Block {
  /** How long the caller lets it block, in milliseconds. */
  readonly ms: number;
  /** Streams of which it reads what is new (`$`): the key of each, and which argument its id is. */
  readonly newest: readonly { readonly key: Command[number]; at: number }[];
  /** The command with another timeout, in milliseconds. */
  lasting(ms: number, command: Command): Command;
  /** Whether the server has answered only because the time was up. */
  hasTimedOut(reply: Reply): boolean;
}

const isNull = (reply: Reply): boolean => reply === null;

function withArgument(
  command: Command,
  at: number,
  value: number | string,
): Command {
  const [name, ...args] = command;
  args[at - 1] = value;
  return [name, ...args];
}

/** A timeout argument in seconds: whole ones, before Redis 6 there are no others. */
const seconds = (at: number) => (ms: number, command: Command): Command =>
  withArgument(command, at, Math.ceil(ms / 1000));

const milliseconds = (at: number) => (ms: number, command: Command): Command =>
  withArgument(command, at, Math.ceil(ms));

type Shape = Omit<Block, "ms">;

const popping = (at: number): Shape => ({
  newest: [],
  lasting: seconds(at),
  hasTimedOut: isNull,
});

/** https://redis.io/docs/latest/commands/xread/ */
function reading(command: Command): Shape | undefined {
  const from = upper(command[1]) === "GROUP" ? 4 : 1;
  const words = command.map((word, i) => i < from ? "" : upper(word));
  const streams = words.indexOf("STREAMS");
  const block = words.indexOf("BLOCK");
  if (streams < 0 || block < 0 || block > streams) return undefined;
  const half = (command.length - streams - 1) / 2;
  if (!Number.isInteger(half)) return undefined;
  const newest: Shape["newest"][number][] = [];
  for (let at = streams + 1 + half; at < command.length; at++) {
    // The last entry of each stream: others would be passed over between two slices.
    if (words[at] === "+") return undefined;
    if (words[at] === "$") newest.push({ key: command[at - half]!, at });
  }
  return { newest, lasting: milliseconds(block + 1), hasTimedOut: isNull };
}

/** https://redis.io/docs/latest/commands/wait/: it answers how many replicas there are so far. */
const waiting = (command: Command): Shape => ({
  newest: [],
  lasting: milliseconds(2),
  hasTimedOut: (reply) =>
    typeof reply === "number" && reply < Number(textOf(command[1])),
});

/** https://redis.io/docs/latest/commands/waitaof/ */
const waitingForFile = (command: Command): Shape => ({
  newest: [],
  lasting: milliseconds(3),
  hasTimedOut: (reply) =>
    Array.isArray(reply) &&
    reply.some((count, i) => Number(count) < Number(textOf(command[i + 1]))),
});

function shapeOf(command: Command): Shape | undefined {
  switch (upper(command[0])) {
    case "BLPOP":
    case "BRPOP":
    case "BRPOPLPUSH":
    case "BLMOVE":
    case "BZPOPMIN":
    case "BZPOPMAX":
      return command.length < 3 ? undefined : popping(command.length - 1);
    case "BLMPOP":
    case "BZMPOP":
      return popping(1);
    case "XREAD":
    case "XREADGROUP":
      return reading(command);
    case "WAIT":
      return waiting(command);
    case "WAITAOF":
      return waitingForFile(command);
    default:
      return undefined;
  }
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
    !("extraReplyTimeoutMs" in route) || !(route.extraReplyTimeoutMs > SLICE.ms)
  ) {
    return undefined;
  }
  const shape = shapeOf(command);
  // A timeout that is no number is for the server to refuse.
  return shape && isTimeout(command, shape)
    ? { ms: route.extraReplyTimeoutMs, ...shape }
    : undefined;
}

/** Whether the argument that a slice would replace is a timeout. */
function isTimeout(command: Command, { lasting }: Shape): boolean {
  const at = lasting(0, command).findIndex((word, i) => word !== command[i]);
  const timeout = at < 0 ? 0 : Number(textOf(command[at]));
  return timeout >= 0 && (at < 0 || textOf(command[at]).trim() !== "");
}

/**
 * Which id `$` stands for, by the answer to XREVRANGE key + - COUNT 1.
 *
 * @returns `undefined` if the server did not tell.
 */
export function newestId(answer: Reply): string | undefined {
  if (!Array.isArray(answer)) return undefined;
  const [entry] = answer;
  if (entry === undefined) return "0-0"; // whatever comes is new
  return Array.isArray(entry) && typeof entry[0] === "string"
    ? entry[0]
    : undefined;
}
