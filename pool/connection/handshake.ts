// The Redis handshake: which greeting a server gets, in which order.
import { ReplyError } from "../../resp/errors.ts";
import type { Command, Reply } from "../../resp/types.ts";
import type { Credentials } from "../socket/credentials.ts";
import type { Endpoint } from "../socket/endpoint.ts";
import { greetingHistoryOf, isBare, noteClose } from "./greeting_history.ts";
import { ask } from "./ask.ts";
import { ConnectionClosedError } from "./connection_closed_error.ts";
import type { Connection } from "./connection.ts";
import {
  bareGreeting,
  CLIENT_ID,
  hello,
  isFinal,
  type Login,
  logins,
  olderGreeting,
  selection,
  type Step,
  takesNoPassword,
  takesNoUser,
} from "./greetings.ts";
import {
  closedError,
  refusedError,
  wasCut,
  withRefusalOfHello,
} from "./handshake_error.ts";
import { type Identity, identityOf, modeHint } from "./identity.ts";
import { introductionTo } from "./introduction.ts";

/**
 * Shakes hands on an open connection: HELLO, and the older greeting where that
 * is refused; the bare greeting alone where the peer has closed on HELLO
 * before.
 *
 * @throws {DialError} If the server refuses, answers nonsense, or closes.
 */
export async function shakeHands(
  connection: Connection,
  endpoint: Endpoint,
  credentials: Credentials | undefined,
): Promise<void> {
  const login: Login = { endpoint, credentials };
  const history = greetingHistoryOf(endpoint);
  const wasBare = isBare(history);
  let identity: Identity;
  try {
    identity = wasBare
      ? await greetOlder(connection, login, bareGreeting(endpoint))
      : await greet(connection, login);
  } catch (error) {
    if (wasCut(error)) noteClose(history, wasBare);
    throw error;
  }
  connection.established(identity, introductionTo(endpoint, identity));
}

async function greet(connection: Connection, login: Login): Promise<Identity> {
  const { endpoint } = login;
  const steps = selection(endpoint);
  const [answer, ...replies] = await converse(connection, endpoint, [
    hello(login),
    ...commandsOf(steps),
  ]);
  if (answer instanceof ReplyError) {
    if (isFinal(answer)) throw refusedError(login, "HELLO", answer);
    try {
      return await greetOlder(connection, login, olderGreeting(endpoint));
    } catch (error) {
      throw withRefusalOfHello(login, error, answer);
    }
  }
  greetingHistoryOf(endpoint).answersHello = true;
  const identity = identityOf(answer);
  throwIfRefused(login, steps, replies, identity);
  return identity;
}

async function greetOlder(
  connection: Connection,
  login: Login,
  steps: readonly Step[],
): Promise<Identity> {
  const note = await logIn(connection, login);
  const replies = await converse(
    connection,
    login.endpoint,
    commandsOf(steps),
  );
  throwIfRefused(login, steps, replies, {});
  const clientId = replies[
    steps.findIndex(({ command }) => command === CLIENT_ID)
  ];
  return {
    ...(typeof clientId === "number" ? { clientId } : {}),
    ...(note === undefined ? {} : { note }),
  };
}

/** Logs in. Returns a note on what did not fail but may surprise. */
async function logIn(
  connection: Connection,
  login: Login,
): Promise<string | undefined> {
  let refused: ReplyError | undefined;
  for (const command of logins(login)) {
    const [reply] = await converse(connection, login.endpoint, [command]);
    if (!(reply instanceof ReplyError)) return undefined;
    if (takesNoPassword(reply)) {
      return "a password was given, and the server asks for none";
    }
    refused = reply;
    if (!takesNoUser(reply)) break;
  }
  if (refused !== undefined) throw refusedError(login, "AUTH", refused);
  return undefined;
}

const commandsOf = (steps: readonly Step[]): Command[] =>
  steps.map(({ command }) => command);

/** Sends commands in one write, and waits for all replies. */
async function converse(
  connection: Connection,
  endpoint: Endpoint,
  commands: readonly Command[],
): Promise<Reply[]> {
  try {
    return await Promise.all(
      commands.map((command) => ask(connection, command)),
    );
  } catch (error) {
    if (!(error instanceof ConnectionClosedError)) throw error;
    throw closedError(endpoint, error);
  }
}

/** @throws {DialError} If the server has refused a step that must succeed. */
function throwIfRefused(
  login: Login,
  steps: readonly Step[],
  replies: readonly Reply[],
  identity: Identity,
): void {
  steps.forEach(({ command, onRefusal }, i) => {
    const reply = replies[i];
    if (onRefusal === "ignore" || !(reply instanceof ReplyError)) return;
    throw refusedError(login, command[0], reply, modeHint(identity));
  });
}
