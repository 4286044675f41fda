// What can be known of a command that was written and not answered: fence its connection, then look.
import { type Command, ReplyError } from "../resp/mod.ts";
import { ConnectionClosedError } from "../pool/connection/connection_closed_error.ts";
import type { Fate } from "../pool/connection/fate.ts";
import type {
  ConnectionFacts,
  PushRight,
} from "../pool/connection/push_right.ts";
import { ask } from "../pool/connection/ask.ts";
import { probeOf } from "./commands/probe.ts";

const servers = new WeakMap<ConnectionFacts, Promise<string | undefined>>();

/** Which run of which server a connection leads to; `undefined` if the server does not tell. */
function serverOf(right: PushRight): Promise<string | undefined> {
  let server = servers.get(right.connection);
  if (server === undefined) {
    server = ask(right, ["INFO", "server"]).then(
      (info) => /^run_id:(\w+)/m.exec(`${info}`)?.[1],
      () => undefined,
    );
    servers.set(right.connection, server);
  }
  return server;
}

/** Whether a connection has been asked which server it leads to. */
export const wasAsked = (connection: ConnectionFacts): boolean =>
  servers.has(connection);

/**
 * Asks a connection which server it leads to, once. INFO is pushed before this
 * returns.
 *
 * @param right The right to push on it.
 * @throws {ConnectionClosedError} If the connection has ended meanwhile.
 */
export async function askServer(right: PushRight): Promise<void> {
  await serverOf(right);
  const { report } = right.connection;
  if (report !== undefined) throw new ConnectionClosedError(report, "unsent");
}

/**
 * Finds out what became of a command whose connection has ended.
 *
 * First CLIENT KILL makes sure that the server reads nothing more from the
 * old connection. If what the command writes is not there then, it has not run
 * and cannot run any more. If it is there, it may have been there before. Where it is not
 * the same run of the same server, where that refuses CLIENT, or where no read
 * can tell, the fate stays `"unknown"`, too.
 *
 * @param right The right to push on a fresh connection that is leased.
 * @param ended The connection that ended.
 * @param command The command that was lost with it.
 * @returns The command's fate.
 * @see {@link https://redis.io/docs/latest/commands/client-kill/}
 */
export async function resolveFate(
  right: PushRight,
  ended: ConnectionFacts,
  command: Command,
): Promise<Exclude<Fate, "executed">> {
  const clientId = ended.identity?.clientId;
  const server = await servers.get(ended);
  // On another server, or another run of it, the id is that of another client.
  if (
    clientId === undefined || server === undefined ||
    server !== await serverOf(right)
  ) return "unknown";
  // 0: it is gone already. An id is never used twice by one run of a server.
  const killed = await ask(right, ["CLIENT", "KILL", "ID", clientId]);
  const probe = probeOf(command);
  if (killed instanceof ReplyError || probe === undefined) return "unknown";
  const answer = await ask(right, probe.read);
  return answer === probe.absent ? "unsent" : "unknown";
}
