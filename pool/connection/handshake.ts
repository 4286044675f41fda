// What is said before the first command, as data, and what refusals and closes of it mean.
import { ask } from "./ask.ts";
import { type Command, type Reply, ReplyError } from "../../resp/mod.ts";
import { ConnectionClosedError } from "./close_report.ts";
import type { Connection, Identity } from "./connection.ts";
import { DialError } from "../socket/dial_error.ts";
import type { Credentials } from "../socket/credentials.ts";
import type { Endpoint } from "../socket/endpoint.ts";
import type { Slot } from "./in_flight.ts";
import { greetsBarely, noteClose, noteHello, peerOf } from "../socket/peer.ts";
import { isKnownCode, isPassingInHandshake } from "./refusal.ts";
import { mask } from "../socket/secrets.ts";
import { modeHint } from "./server_mode.ts";

/** A command of the handshake. */
export interface Step {
  /** What is sent. */
  readonly command: Command;
  /** What a refusal means: the end, or nothing. */
  readonly onRefusal: "fatal" | "ignore";
}

/** Where a handshake leads, and as which user. */
interface Login {
  readonly endpoint: Endpoint;
  readonly credentials: Credentials | undefined;
}

/** For Redis 6 and later: https://redis.io/docs/latest/commands/hello/ */
function hello({ endpoint, credentials }: Login): Command {
  const command: [string, ...string[]] = ["HELLO", "2"];
  if (credentials !== undefined) {
    command.push("AUTH", credentials.username, credentials.password);
  }
  if (endpoint.clientName !== undefined) {
    command.push("SETNAME", endpoint.clientName);
  }
  return command;
}

/** Logging in where HELLO is not known. A server before 6 knows no users, and takes the password alone. */
function logins({ credentials }: Login): Command[] {
  if (credentials === undefined) return [];
  const { username, password } = credentials;
  const alone: Command = ["AUTH", password];
  return username === "default"
    ? [alone]
    : [["AUTH", username, password], alone];
}

/** The rest of the older greeting. Something must be answered, or a silent or foreign peer passes for Redis. */
function olderGreeting(endpoint: Endpoint): Step[] {
  const { clientName } = endpoint;
  return [
    ...(clientName === undefined ? [] : [{
      command: ["CLIENT", "SETNAME", clientName] as const,
      onRefusal: "ignore" as const,
    }]),
    { command: CLIENT_ID, onRefusal: "ignore" },
    ...bareGreeting(endpoint),
  ];
}

/** The same for a peer that closes when it is sent a command that it does not know. */
const bareGreeting = (endpoint: Endpoint): Step[] => [
  { command: ["PING"], onRefusal: "fatal" },
  ...selection(endpoint),
];

const selection = ({ database }: Endpoint): Step[] =>
  database === 0 ? [] : [{ command: ["SELECT", database], onRefusal: "fatal" }];

const CLIENT_ID: Command = ["CLIENT", "ID"];

/** Tells the server which library this is: https://redis.io/docs/latest/commands/client-setinfo/ */
const INTRODUCTION: readonly Command[] = [
  ["CLIENT", "SETINFO", "LIB-NAME", "unzombie"],
  ["CLIENT", "SETINFO", "LIB-VER", "0.1.0"],
];

/**
 * Shakes hands on an open connection.
 *
 * @throws {DialError} If the server refuses, answers nonsense, or closes.
 */
export async function shakeHands(
  connection: Connection,
  endpoint: Endpoint,
  credentials: Credentials | undefined,
): Promise<void> {
  const login: Login = { endpoint, credentials };
  const peer = peerOf(endpoint);
  const isBare = greetsBarely(peer);
  let identity: Identity;
  try {
    identity = isBare
      ? await greetOlder(connection, login, bareGreeting(endpoint))
      : await greet(connection, login);
  } catch (error) {
    if (wasCut(error)) noteClose(peer, isBare);
    throw error;
  }
  connection.established(identity, introduction(endpoint, identity));
}

async function greet(
  connection: Connection,
  login: Login,
): Promise<Identity> {
  const { endpoint } = login;
  const steps = selection(endpoint);
  const [answer, ...replies] = await converse(connection, endpoint, [
    hello(login),
    ...steps.map(({ command }) => command),
  ]);
  if (answer instanceof ReplyError) {
    if (isFinal(answer)) throw refusal(login, "HELLO", answer);
    try {
      return await greetOlder(connection, login, olderGreeting(endpoint));
    } catch (error) {
      throw withHello(login, error, answer);
    }
  }
  noteHello(peerOf(endpoint));
  const identity = identityOf(answer);
  refuse(login, steps, replies, identity);
  return identity;
}

/** What HELLO was refused with may say more than what came of the older greeting. */
function withHello(
  login: Login,
  error: unknown,
  hello: ReplyError,
): unknown {
  if (!(error instanceof DialError)) return error;
  const { cause, isRetriable } = error;
  return new DialError(
    login.endpoint,
    "handshake",
    `${error.reason}; HELLO was refused before: ${textOf(login, hello)}`,
    { cause, isRetriable },
  );
}

async function greetOlder(
  connection: Connection,
  login: Login,
  steps: Step[],
): Promise<Identity> {
  const note = await logIn(connection, login);
  const replies = await converse(
    connection,
    login.endpoint,
    steps.map(({ command }) => command),
  );
  refuse(login, steps, replies, {});
  const clientId = replies[
    steps.findIndex(({ command }) => command === CLIENT_ID)
  ];
  return {
    ...(typeof clientId === "number" ? { clientId } : {}),
    ...(note === undefined ? {} : { note }),
  };
}

/** Logs in. What is no reason to fail, but may surprise, is returned as a note. */
async function logIn(
  connection: Connection,
  login: Login,
): Promise<string | undefined> {
  let refused: ReplyError | undefined;
  for (const command of logins(login)) {
    const [reply] = await converse(connection, login.endpoint, [command]);
    if (!(reply instanceof ReplyError)) return undefined;
    if (TAKES_NO_PASSWORD.test(reply.message)) {
      return "a password was given, and the server asks for none";
    }
    refused = reply;
    if (!TAKES_NO_USER.test(reply.message)) break;
  }
  if (refused !== undefined) throw refusal(login, "AUTH", refused);
  return undefined;
}

/** Redis before 6, and since. */
const TAKES_NO_PASSWORD = /no password is set|without any password configured/i;
/** AUTH with two arguments, before Redis 6. */
const TAKES_NO_USER = /number of arguments|too many arguments|syntax error/i;

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
    const { how, cause, bytesIn } = error.report;
    const isPlain = endpoint.tls === undefined && endpoint.path === undefined;
    const reason = how === "protocol-error"
      ? `the server does not speak the Redis protocol: ${cause}`
      : how === "silence"
      ? `the server accepted the connection and said nothing (${cause})`
      : `the connection ended before Redis had answered (${
        how === "fin" ? "FIN" : cause ?? how
      })${isPlain && bytesIn === 0 ? ": is this a TLS port (rediss://)?" : ""}`;
    throw new DialError(endpoint, "handshake", reason, {
      cause: error,
      isRetriable: how !== "protocol-error" && how !== "tls-alert" &&
        !/invalid peer certificate/.test(cause ?? ""), // Node before 2.7 says so late
    });
  }
}

/** @throws {DialError} If the server has refused a step that must succeed. */
function refuse(
  login: Login,
  steps: Step[],
  replies: Reply[],
  identity: Identity,
): void {
  steps.forEach(({ command, onRefusal }, i) => {
    const reply = replies[i];
    if (onRefusal === "ignore" || !(reply instanceof ReplyError)) return;
    throw refusal(login, command[0], reply, modeHint(identity));
  });
}

function refusal(
  login: Login,
  name: string,
  reply: ReplyError,
  hint?: string,
): DialError {
  const text = textOf(login, reply);
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

/** A server that does not know a command repeats its arguments. */
function textOf(
  { credentials }: Login,
  { code, message }: ReplyError,
): string {
  const [text = ""] = message.split(", with args");
  // A password may have letters in common with WRONGPASS: that is no echo.
  const shown = isKnownCode(code) && text.startsWith(code) ? code.length : 0;
  return text.slice(0, shown) +
    mask(text.slice(shown), credentials?.password);
}

/** No other greeting would be answered better. */
const isFinal = (reply: ReplyError): boolean =>
  reply.code === "WRONGPASS" || reply.code === "DENIED" ||
  isPassingInHandshake(reply);

/** HELLO answers a flat list of names and values in RESP2. */
function identityOf(hello: Reply | undefined): Identity {
  if (!Array.isArray(hello)) return {};
  const said = new Map<Reply, Reply>();
  for (let i = 0; i + 1 < hello.length; i += 2) {
    said.set(hello[i]!, hello[i + 1]!);
  }
  const clientId = said.get("id");
  const texts = Object.fromEntries(
    ["version", "mode", "role"].map((name) => [name, said.get(name)])
      .filter(([, value]) => typeof value === "string"),
  );
  return { ...texts, ...(typeof clientId === "number" ? { clientId } : {}) };
}

/** What goes before the first command. Older servers count an unknown command as an error; their statistics are left alone. */
function introduction(endpoint: Endpoint, { version }: Identity): Slot[] {
  const peer = peerOf(endpoint);
  if (!peer.takesIntroduction || !isAtLeast(version, 7, 2)) return [];
  const refuse = () => {
    peer.takesIntroduction = false;
  };
  return INTRODUCTION.map((command) => ({
    command,
    binary: false,
    extraReplyTimeoutMs: 0,
    resolve: (reply) => {
      if (reply instanceof ReplyError) refuse();
    },
    lose: ({ report }) => {
      // A proxy that closes on what it does not know.
      if (report.how === "fin" || report.how === "rst") refuse();
    },
  }));
}

function isAtLeast(
  version: string | undefined,
  major: number,
  minor: number,
): boolean {
  const [a = 0, b = 0] = version?.split(".").map(Number) ?? [];
  return a > major || (a === major && b >= minor);
}

/** Whether a connection was closed in the middle of its handshake. */
export const wasCut = (error: unknown): boolean =>
  error instanceof DialError &&
  error.cause instanceof ConnectionClosedError &&
  ["fin", "rst"].includes(error.cause.report.how);
