// The Redis handshake: HELLO, in one write with what goes with it; all else is loaded when it is needed.
import { ReplyError } from "../../resp/errors.ts";
import type { Reply } from "../../resp/types.ts";
import { DialError } from "../socket/dial_error.ts";
import { ConnectionClosedError } from "./close_report.ts";
import type { Connection } from "./connection.ts";
import {
  greetingHistoryOf,
  hello,
  introductionTo,
  isBare,
  type Login,
  noteClose,
  selection,
} from "./greetings.ts";
import { type Identity, identityOf } from "./identity.ts";
import { ask } from "./in_flight.ts";

/**
 * Shakes hands on an open connection: HELLO, and the older greeting where that
 * is refused; the bare greeting alone where the peer has closed on HELLO
 * before.
 *
 * @throws {DialError} If the server refuses, answers nonsense, closes, or has another role than is expected.
 */
export async function shakeHands(
  connection: Connection,
  login: Login,
): Promise<void> {
  const { endpoint, isClusterNode } = login;
  const history = greetingHistoryOf(endpoint);
  const wasBare = isBare(history);
  const outcome = wasBare ? undefined : await greet(connection, login);
  let identity = identityIn(outcome, login);
  if (identity === undefined) {
    const { completeHandshake } = await import("./other_handshakes.ts");
    try {
      identity = await completeHandshake(connection, login, outcome);
    } catch (error) {
      if (wasCut(error)) noteClose(history, wasBare);
      throw error;
    }
  }
  if (isClusterNode) identity = { ...identity, isOfCluster: true };
  connection.established(identity, introductionTo(endpoint, identity));
}

/** Sends HELLO and what goes with it. Returns all replies, or why there are none. */
async function greet(
  connection: Connection,
  login: Login,
): Promise<readonly Reply[] | Error> {
  const commands = [
    hello(login),
    ...selection(login.endpoint).map(({ command }) => command),
  ];
  try {
    return await Promise.all(
      commands.map((command) => ask(connection, command)),
    );
  } catch (error) {
    return error as Error;
  }
}

/** What the server says of itself, if it has refused nothing and has the role that is expected. */
function identityIn(
  outcome: readonly Reply[] | Error | undefined,
  { endpoint, expects }: Login,
): Identity | undefined {
  if (
    outcome === undefined || outcome instanceof Error ||
    outcome.some((reply) => reply instanceof ReplyError)
  ) return undefined;
  const identity = identityOf(outcome[0]);
  if (expects !== undefined && identity.role !== "master") return undefined;
  greetingHistoryOf(endpoint).answersHello = true;
  return identity;
}

/** Whether the peer has closed the connection in the middle of the handshake. */
export const wasCut = (error: unknown): boolean =>
  error instanceof DialError &&
  error.cause instanceof ConnectionClosedError &&
  ["fin", "rst"].includes(error.cause.report.how);
