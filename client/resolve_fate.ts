// Whether a command that was written and not answered has run: close its connection at the server, then read what it writes.
import { ReplyError } from "../resp/errors.ts";
import type { Command } from "../resp/types.ts";
import type { Fate } from "../pool/connection/fate.ts";
import { ask } from "../pool/connection/in_flight.ts";
import type {
  ConnectionFacts,
  PushRight,
} from "../pool/connection/push_right.ts";
import type { Call, CallEngine } from "./call.ts";
import { probeOf } from "./commands/probe.ts";
import { type HeldConnection, LeaseCall } from "./exclusive_call.ts";
import { NO_OPTIONS } from "./send_options.ts";
import { knownRunOf, runOf } from "./server_run.ts";
import type { SingleCall } from "./single_call.ts";

/**
 * What became of a lost command, by a look on another connection.
 *
 * @param call The command.
 * @param engine What the call for that connection reports to.
 * @param start Starts that call.
 */
export async function lookAt(
  call: SingleCall,
  engine: CallEngine,
  start: (look: Call) => void,
): Promise<Fate> {
  const { server, connection, command } = call;
  let held: HeldConnection | undefined;
  try {
    held = await new Promise((resolve, reject) => {
      const look = new LeaseCall(engine, NO_OPTIONS, resolve, reject);
      look.routing = call.routing;
      look.router = call.router;
      call.enter("resolving", () => look.giveUp(new Error("it has ended")));
      start(look);
    });
    server!.noteFence(connection!);
    return await resolveFate(held!.right, connection!, command);
  } catch {
    return "unknown"; // no connection, no facts
  } finally {
    held?.release(true);
  }
}

/**
 * Finds out what became of a command whose connection has ended.
 *
 * First CLIENT KILL makes sure that the server reads nothing more from the old
 * connection. If what the command writes is not there then, it has not run and
 * cannot run any more. If it is there, it may have been there before, so the
 * fate stays `"unknown"`. It stays so as well where the new connection leads to
 * another server or another run of it, where the server refuses CLIENT, and for
 * commands without such a read.
 *
 * @param right The right to push on a new connection that is leased.
 * @param ended The connection that ended.
 * @param command The command that was lost with it.
 * @returns The command's fate.
 * @see {@link https://redis.io/docs/latest/commands/client-kill/}
 */
async function resolveFate(
  right: PushRight,
  ended: ConnectionFacts,
  command: Command,
): Promise<Exclude<Fate, "executed">> {
  const clientId = ended.identity?.clientId;
  const run = await knownRunOf(ended);
  // On another server, or in another run of it, the id is that of another client.
  if (
    clientId === undefined || run === undefined || run !== await runOf(right)
  ) return "unknown";
  // The answer 0 means that it is gone already. A run of a server uses no id twice.
  const killed = await ask(right, ["CLIENT", "KILL", "ID", clientId]);
  const probe = probeOf(command);
  if (killed instanceof ReplyError || probe === undefined) return "unknown";
  const answer = await ask(right, probe.read);
  return answer === probe.absent ? "unsent" : "unknown";
}
