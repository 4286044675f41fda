// Which run of a server a connection leads to: a restart, a failover or a proxy may lead the next one elsewhere.
import { ConnectionClosedError } from "../pool/connection/close_report.ts";
import { ask } from "../pool/connection/in_flight.ts";
import type {
  ConnectionFacts,
  PushRight,
} from "../pool/connection/push_right.ts";

const runs = new WeakMap<ConnectionFacts, Promise<string | undefined>>();

/**
 * The `run_id` of the server that a connection leads to. The first time INFO is
 * pushed before this returns.
 *
 * @param right The right to push on the connection.
 * @returns `undefined` if the server does not say it.
 */
export function runOf(right: PushRight): Promise<string | undefined> {
  let run = runs.get(right.connection);
  if (run === undefined) {
    run = ask(right, ["INFO", "server"]).then(
      (info) => /^run_id:(\w+)/m.exec(`${info}`)?.[1],
      () => undefined,
    );
    runs.set(right.connection, run);
  }
  return run;
}

/** What {@linkcode runOf} has found of a connection, which may have ended since; `undefined` if it was not asked. */
export const knownRunOf = (
  connection: ConnectionFacts,
): Promise<string | undefined> | undefined => runs.get(connection);

/**
 * Asks for the run of a connection's server.
 *
 * @param right The right to push on the connection.
 * @throws {ConnectionClosedError} If the connection ends before the answer.
 */
export async function identify(right: PushRight): Promise<void> {
  await runOf(right);
  const { report } = right.connection;
  if (report !== undefined) throw new ConnectionClosedError(report, "unsent");
}
