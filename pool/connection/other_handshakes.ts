// Handshakes that HELLO alone does not complete: the older greetings, and the errors where none is taken.
import { ReplyError } from "../../resp/errors.ts";
import type { Command, Reply } from "../../resp/types.ts";
import { DialError } from "../socket/dial_error.ts";
import type { Endpoint } from "../socket/endpoint.ts";
import { mask } from "../socket/secrets.ts";
import { ConnectionClosedError } from "./close_report.ts";
import type { Connection } from "./connection.ts";
import {
  greetingHistoryOf,
  type Login,
  selection,
  type Step,
} from "./greetings.ts";
import { type Identity, identityOf, modeHint } from "./identity.ts";
import { ask } from "./in_flight.ts";
import { isKnownCode, isPassingInHandshake } from "./refusal.ts";

/**
 * Completes a handshake that HELLO has not completed: by the older greeting where
 * HELLO is refused, by the bare greeting alone where it was left out.
 *
 * @param outcome The replies to HELLO and what went with it, or why there are
 * none; `undefined` if the greeting must be bare.
 * @throws {DialError} If the server refuses, answers nonsense, closes, or has another role than is expected.
 */
export async function completeHandshake(
  connection: Connection,
  login: Login,
  outcome: readonly Reply[] | Error | undefined,
): Promise<Identity> {
  if (outcome instanceof Error) throw endedError(login.endpoint, outcome);
  const identity = outcome === undefined
    ? await greetOlder(connection, login, bareGreeting(login))
    : await goOn(connection, login, outcome);
  throwIfUnexpected(login, identity);
  return identity;
}

/** Goes on after what HELLO, and what went with it, was answered. */
async function goOn(
  connection: Connection,
  login: Login,
  [answer, ...replies]: readonly Reply[],
): Promise<Identity> {
  const { endpoint } = login;
  const steps = selection(endpoint);
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
    throw endedError(endpoint, error);
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
    throw refusedError(
      login,
      command[0],
      reply,
      login.isClusterNode ? clusterHint(command, identity) : modeHint(identity),
    );
  });
}

/**
 * What to do about a step that a server of a cluster has refused. Valkey 9 takes
 * other databases if `cluster-databases` allows them.
 */
const clusterHint = (
  [name]: Command,
  identity: Identity,
): string | undefined =>
  name === "SELECT" && identity.mode !== "sentinel" &&
    identity.mode !== "standalone"
    ? "a cluster has database 0 alone: remove the database from the URL"
    : modeHint({ ...identity, isOfCluster: true });

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

/** What the handshake fails with if no reply has come. */
const endedError = (endpoint: Endpoint, error: unknown): unknown =>
  error instanceof ConnectionClosedError ? closedError(endpoint, error) : error;

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

/** Whether a refusal of HELLO is fatal: no other greeting would be answered better. */
export const isFinal = (refusal: ReplyError): boolean =>
  refusal.code === "WRONGPASS" || refusal.code === "DENIED" ||
  isPassingInHandshake(refusal);

/** Asks for the id of the connection where HELLO has not given it. */
export const CLIENT_ID: Command = ["CLIENT", "ID"];

/** Asks for the role where HELLO has not given it: https://redis.io/docs/latest/commands/role/ */
export const ROLE: Command = ["ROLE"];

/**
 * What is sent after the login where HELLO is refused. One step must be answered, or a peer
 * that is silent or does not speak Redis would be taken for a server.
 */
export function olderGreeting(login: Login): Step[] {
  const { clientName } = login.endpoint;
  return [
    ...(clientName === undefined ? [] : [{
      command: ["CLIENT", "SETNAME", clientName] as const,
      onRefusal: "ignore" as const,
    }]),
    { command: CLIENT_ID, onRefusal: "ignore" },
    ...bareGreeting(login),
  ];
}

/** For a peer that closes the connection on a command that it does not know. */
export const bareGreeting = ({ endpoint, expects }: Login): Step[] => [
  { command: ["PING"], onRefusal: "fatal" },
  ...(expects === undefined ? [] : [{
    command: ROLE,
    onRefusal: "ignore" as const,
  }]),
  ...selection(endpoint),
];

/** The logins to try where HELLO is not known. A server before Redis 6 has no users, and takes the password alone. */
export function logins({ credentials }: Login): Command[] {
  if (credentials === undefined) return [];
  const { username, password } = credentials;
  const alone: Command = ["AUTH", password];
  return username === "default"
    ? [alone]
    : [["AUTH", username, password], alone];
}

/** Whether AUTH was refused because the server asks for no password: before Redis 6, and since. */
export const takesNoPassword = ({ message }: ReplyError): boolean =>
  /no password is set|without any password configured/i.test(message);

/** Whether AUTH with two arguments was refused because the server has no users: before Redis 6. */
export const takesNoUser = ({ message }: ReplyError): boolean =>
  /number of arguments|too many arguments|syntax error/i.test(message);
