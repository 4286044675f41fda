// What became of a command that was written and not answered: fence its connection, then look.
import {
  type Command,
  type CommandArgument,
  type Reply,
  ReplyError,
} from "../resp/mod.ts";
import type { ConnectionFacts, Fate, PushRight } from "../pool/mod.ts";
import { say } from "../pool/handshake.ts";
import { upper } from "./routing.ts";

/** A read that shows whether a command has run. */
interface Question {
  readonly command: Command;
  /** What the answer proves: true, it ran; false, it did not; undefined, nothing. */
  readonly proves: (answer: Reply) => boolean | undefined;
}

/** Whether a reply, read as bytes, is what an argument was sent as. */
function isSame(answer: Reply, argument: CommandArgument): boolean {
  if (!(answer instanceof Uint8Array)) return false;
  const sent = argument instanceof Uint8Array
    ? argument
    : new TextEncoder().encode(`${argument}`);
  return sent.length === answer.length &&
    sent.every((byte, i) => byte === answer[i]);
}

const isSameScore = (answer: Reply, score: CommandArgument): boolean =>
  answer instanceof Uint8Array && scoreOf(answer) === scoreOf(score);

/** Redis writes infinity as `inf`. */
function scoreOf(value: CommandArgument): number {
  const text = value instanceof Uint8Array
    ? new TextDecoder().decode(value)
    : `${value}`;
  return Number(text.replace(/^([+-]?)inf$/i, "$1Infinity"));
}

/** Nothing there: it did not run. Ours there: it did. Another's there: who knows. */
const proof = (answer: Reply, isOurs: boolean): boolean | undefined =>
  answer === null ? false : isOurs || undefined;

/** The read for a command, if one can tell. Only what the command itself wrote is proof. */
function questionFor(command: Command): Question | undefined {
  const [, key, first, second] = command;
  if (key === undefined || first === undefined) return undefined;
  switch (upper(command[0])) {
    case "SET":
      // With options the value may have gone again, or never have been meant to come.
      if (command.length > 4 || (command[3] && upper(command[3]) !== "NX")) {
        return undefined;
      }
      // falls through
    case "SETNX":
    case "GETSET":
      return {
        command: ["GET", key],
        proves: (answer) => proof(answer, isSame(answer, first!)),
      };
    case "HSETNX":
    case "HSET":
      if (command.length !== 4) return undefined;
      return {
        command: ["HGET", key, first],
        proves: (answer) => proof(answer, isSame(answer, second!)),
      };
    case "SADD":
      if (command.length !== 3) return undefined;
      return {
        command: ["SISMEMBER", key, first],
        proves: (answer) => answer === 1,
      };
    case "ZADD":
      // A plain ZADD of one member; with INCR the score tells nothing.
      if (command.length !== 4) return undefined;
      return {
        command: ["ZSCORE", key, second!],
        proves: (answer) => proof(answer, isSameScore(answer, first)),
      };
    default:
      return undefined;
  }
}

const servers = new WeakMap<ConnectionFacts, Promise<string | undefined>>();

/**
 * Which run of which server a connection leads to, asked once a connection.
 *
 * @returns The server's `run_id`, or `undefined` if it does not tell.
 */
export function serverOf(right: PushRight): Promise<string | undefined> {
  let server = servers.get(right.connection);
  if (server === undefined) {
    server = say(right, ["INFO", "server"]).then(
      (info) => /^run_id:(\w+)/m.exec(`${info}`)?.[1],
      () => undefined,
    );
    servers.set(right.connection, server);
  }
  return server;
}

/**
 * Finds out what became of a command whose connection has ended.
 *
 * First CLIENT KILL makes sure that the server reads nothing more from the
 * old connection; only then a read can settle the matter. It does so as long
 * as nobody else writes or deletes the same value. Where it is not the same
 * run of the same server, where it refuses CLIENT, or where no read can tell,
 * the fate stays `"unknown"`.
 *
 * @param right The right to push on a fresh connection that is leased.
 * @param ended The connection that ended.
 * @param command The command that was lost with it.
 * @returns The command's fate.
 * @see {@link https://redis.io/docs/latest/commands/client-kill/}
 */
export async function settleFate(
  right: PushRight,
  ended: ConnectionFacts,
  command: Command,
): Promise<Fate> {
  const clientId = ended.identity?.clientId;
  const server = await servers.get(ended);
  // Elsewhere the id is a stranger's.
  if (
    clientId === undefined || server === undefined ||
    await serverOf(right) !== server
  ) return "unknown";
  // 0: it is gone already. An id is never used twice by one run of a server.
  const killed = await say(right, ["CLIENT", "KILL", "ID", clientId]);
  if (killed instanceof ReplyError) return "unknown";
  const question = questionFor(command);
  if (question === undefined) return "unknown";
  const answer = await say(right, question.command, true);
  if (answer instanceof ReplyError) return "unknown";
  const hasRun = question.proves(answer);
  return hasRun === undefined ? "unknown" : hasRun ? "executed" : "unsent";
}
