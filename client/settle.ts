// What became of a command that was written and not answered: fence its connection, then look.
import { type Command, type Reply, ReplyError } from "../resp/mod.ts";
import type { Connection, Fate } from "../pool/mod.ts";
import { say } from "../pool/handshake.ts";
import { upper } from "./routing.ts";

/** A read that shows whether a command has run. */
interface Question {
  readonly command: Command;
  /** What the answer proves: true, it ran; false, it did not; undefined, nothing. */
  readonly proves: (answer: Reply) => boolean | undefined;
}

/** The bytes of an argument and of a reply, comparable. */
const text = (value: unknown): string =>
  value instanceof Uint8Array
    ? Array.from(value, (byte) => String.fromCharCode(byte)).join("")
    : unescape(encodeURIComponent(`${value}`));

/** The read for a command, if one can tell. Only what the command itself wrote is proof. */
function questionFor(command: Command): Question | undefined {
  const [, key, first, second] = command;
  if (key === undefined || first === undefined) return undefined;
  const isThere = (answer: Reply): boolean => answer !== null && answer !== 0;
  switch (upper(command[0])) {
    case "SET":
    case "SETNX":
    case "GETSET":
      return {
        command: ["GET", key],
        proves: (answer) =>
          answer === null
            ? false
            : text(answer) === text(first)
            ? true
            : undefined,
      };
    case "HSETNX":
    case "HSET":
      if (command.length !== 4) return undefined;
      return {
        command: ["HGET", key, first],
        proves: (answer) =>
          answer === null
            ? false
            : text(answer) === text(second)
            ? true
            : undefined,
      };
    case "SADD":
      if (command.length !== 3) return undefined;
      return { command: ["SISMEMBER", key, first], proves: isThere };
    case "ZADD":
      // A plain ZADD of one member; with INCR the score tells nothing.
      if (command.length !== 4) return undefined;
      return {
        command: ["ZSCORE", key, second!],
        proves: (answer) =>
          answer === null
            ? false
            : Number(answer) === Number(first)
            ? true
            : undefined,
      };
    default:
      return undefined;
  }
}

const servers = new WeakMap<Connection, Promise<string | undefined>>();

/**
 * Which run of which server a connection leads to, asked once a connection.
 *
 * @returns The server's `run_id`, or `undefined` if it does not tell.
 */
export function serverOf(connection: Connection): Promise<string | undefined> {
  let server = servers.get(connection);
  if (server === undefined) {
    server = say(connection, ["INFO", "server"]).then(
      (info) => /^run_id:(\w+)/m.exec(`${info}`)?.[1],
      () => undefined,
    );
    servers.set(connection, server);
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
 * @param connection A fresh connection, for us alone.
 * @param ended The connection that ended.
 * @param command The command that was lost with it.
 * @returns The command's fate.
 * @see {@link https://redis.io/docs/latest/commands/client-kill/}
 */
export async function settleFate(
  connection: Connection,
  ended: Connection,
  command: Command,
): Promise<Fate> {
  const clientId = ended.identity?.clientId;
  const server = await serverOf(ended);
  // Elsewhere the id is a stranger's.
  if (
    clientId === undefined || server === undefined ||
    await serverOf(connection) !== server
  ) return "unknown";
  // 0: it is gone already. An id is never used twice by one run of a server.
  const killed = await say(connection, ["CLIENT", "KILL", "ID", clientId]);
  if (killed instanceof ReplyError) return "unknown";
  const question = questionFor(command);
  if (question === undefined) return "unknown";
  const answer = await say(connection, question.command);
  if (answer instanceof ReplyError) return "unknown";
  const proof = question.proves(answer);
  return proof === undefined ? "unknown" : proof ? "executed" : "unsent";
}
