// The Redis handshake: greetings in their order until one is taken, or the error that says why none was.
import { ReplyError } from "../../resp/errors.ts";
import type { Command, Reply } from "../../resp/types.ts";
import { DialError } from "../socket/dial_error.ts";
import type { Endpoint } from "../socket/endpoint.ts";
import { mask } from "../socket/secrets.ts";
import { ConnectionClosedError } from "./close_report.ts";
import type { Connection } from "./connection.ts";
import {
  bareGreeting,
  CLIENT_ID,
  greetingHistoryOf,
  hello,
  introductionTo,
  isBare,
  isFinal,
  type Login,
  logins,
  noteClose,
  olderGreeting,
  ROLE,
  selection,
  type Step,
  takesNoPassword,
  takesNoUser,
} from "./greetings.ts";
import { type Identity, identityOf, modeHint } from "./identity.ts";
import { ask } from "./in_flight.ts";
import { isKnownCode, isPassingInHandshake } from "./refusal.ts";

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
  const { endpoint } = login;
  const history = greetingHistoryOf(endpoint);
  const wasBare = isBare(history);
  let identity: Identity;
  try {
    identity = wasBare
      ? await greetOlder(connection, login, bareGreeting(login))
      : await greet(connection, login);
  } catch (error) {
    if (wasCut(error)) noteClose(history, wasBare);
    throw error;
  }
  throwIfUnexpected(login, identity);
  if (login.isClusterNode) identity = { ...identity, isOfCluster: true };
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
      return await greetOlder(connection, login, olderGreeting(login));
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
  const replyTo = (asked: Command) =>
    replies[steps.findIndex(({ command }) => command === asked)];
  const clientId = replyTo(CLIENT_ID);
  const role = replyTo(ROLE);
  return {
    ...(typeof clientId === "number" ? { clientId } : {}),
    ...(Array.isArray(role) ? { role: String(role[0]) } : {}),
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

/**
 * A server that does not say what it is passes: its errors will.
 *
 * @throws {DialError} If the server has another role than is expected. It may have that one later.
 */
function throwIfUnexpected(
  { endpoint, expects }: Login,
  { mode, role }: Identity,
): void {
  if (expects === undefined || role === "master") return;
  const found = mode === "sentinel" || role === "sentinel"
    ? "a Sentinel"
    : role === undefined
    ? undefined
    : "a replica";
  if (found === undefined) return;
  throw new DialError(
    endpoint,
    "handshake",
    `the server is ${found}${EXPECTED_PRIMARY}`,
  );
}

const EXPECTED_PRIMARY = ", expected the primary";

/** Whether a dial has failed because the server has another role than is expected. */
export const isOfOtherRole = ({ phase, reason }: DialError): boolean =>
  phase === "handshake" && reason.endsWith(EXPECTED_PRIMARY);

/** The server has refused a command that must succeed. */
function refusedError(
  login: Login,
  name: string,
  reply: ReplyError,
  hint?: string,
): DialError {
  const text = refusalText(login, reply);
  return new DialError(
    login.endpoint,
    "handshake",
    `the server refused ${name}: ${text}${
      hint === undefined ? "" : `; ${hint}`
    }`,
    {
      cause: new ReplyError(text),
      isRetriable: isPassingInHandshake(reply),
    },
  );
}

/** The same error, with the text by which HELLO was refused before: it may say more. */
function withRefusalOfHello(
  login: Login,
  error: unknown,
  hello: ReplyError,
): unknown {
  if (!(error instanceof DialError)) return error;
  const { cause, isRetriable } = error;
  return new DialError(
    login.endpoint,
    "handshake",
    `${error.reason}; HELLO was refused before: ${refusalText(login, hello)}`,
    { cause, isRetriable },
  );
}

/** The connection has ended in the handshake. */
function closedError(
  endpoint: Endpoint,
  error: ConnectionClosedError,
): DialError {
  const { how, cause, bytesIn } = error.report;
  const isPlain = endpoint.tls === undefined && endpoint.path === undefined;
  const reason = how === "protocol-error"
    ? `the server does not speak the Redis protocol: ${cause}`
    : how === "silence"
    ? `the server accepted the connection and sent nothing (${cause})`
    : `the connection ended before Redis had answered (${
      how === "fin" ? "FIN" : cause ?? how
    })${isPlain && bytesIn === 0 ? ": is this a TLS port (rediss://)?" : ""}`;
  return new DialError(endpoint, "handshake", reason, {
    cause: error,
    isRetriable: how !== "protocol-error" && how !== "tls-alert" &&
      !/invalid peer certificate/.test(cause ?? ""), // Node before 2.7 says so late
  });
}

/** Whether the peer has closed the connection in the middle of the handshake. */
export const wasCut = (error: unknown): boolean =>
  error instanceof DialError &&
  error.cause instanceof ConnectionClosedError &&
  ["fin", "rst"].includes(error.cause.report.how);

/** The text of a refusal without arguments: a server that does not know a command repeats them. */
function refusalText(
  { credentials }: Login,
  { code, message }: ReplyError,
): string {
  const [text = ""] = message.split(", with args");
  // A password may have letters in common with WRONGPASS: that is no echo.
  const shown = isKnownCode(code) && text.startsWith(code) ? code.length : 0;
  return text.slice(0, shown) +
    mask(text.slice(shown), credentials?.password);
}
