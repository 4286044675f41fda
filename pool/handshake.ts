// What is said before the first command, as data, and which refusals end it.
import { type Command, type Reply, ReplyError } from "../resp/mod.ts";
import type { Connection, Identity } from "./connection.ts";
import { ConnectionClosedError } from "./close_report.ts";
import { DialError } from "./dial_error.ts";
import type { Endpoint } from "./endpoint.ts";
import { isPassingInHandshake } from "./refusal.ts";
import { mask } from "./secrets.ts";

/** A command of the handshake. */
export interface Step {
  /** What is sent. */
  readonly command: Command;
  /** What a refusal means: the end, try it the older way, or nothing. */
  readonly onRefusal: "fatal" | "older" | "ignore";
}

/** For Redis 6 and later: https://redis.io/docs/latest/commands/hello/ */
export function greeting(endpoint: Endpoint): Step[] {
  const credentials = endpoint.credentials();
  const hello: [string, ...string[]] = ["HELLO", "2"];
  if (credentials !== undefined) {
    hello.push("AUTH", credentials.username, credentials.password);
  }
  if (endpoint.clientName !== undefined) {
    hello.push("SETNAME", endpoint.clientName);
  }
  return [{ command: hello, onRefusal: "older" }, ...selection(endpoint)];
}

/** The same for servers that do not know HELLO. */
export function olderGreeting(endpoint: Endpoint): Step[] {
  const credentials = endpoint.credentials();
  const steps: Step[] = [];
  if (credentials !== undefined) {
    const { username, password } = credentials;
    steps.push({
      command: username === "default"
        ? ["AUTH", password]
        : ["AUTH", username, password],
      onRefusal: "fatal",
    });
  }
  if (endpoint.clientName !== undefined) {
    steps.push({
      command: ["CLIENT", "SETNAME", endpoint.clientName],
      onRefusal: "ignore",
    });
  }
  steps.push({ command: ["CLIENT", "ID"], onRefusal: "ignore" });
  // Something must be answered, or a silent or foreign peer passes for Redis.
  steps.push({ command: ["PING"], onRefusal: "fatal" });
  return [...steps, ...selection(endpoint)];
}

const selection = ({ database }: Endpoint): Step[] =>
  database === 0 ? [] : [{ command: ["SELECT", database], onRefusal: "fatal" }];

/** Tells the server which library this is: https://redis.io/docs/latest/commands/client-setinfo/ */
const INTRODUCTION: readonly Command[] = [
  ["CLIENT", "SETINFO", "LIB-NAME", "unzombie"],
  ["CLIENT", "SETINFO", "LIB-VER", "0.1.0"],
];

/**
 * Says hello on an open connection.
 *
 * @throws {DialError} If the server refuses us, answers nonsense, or closes.
 */
export async function shakeHands(
  connection: Connection,
  endpoint: Endpoint,
): Promise<void> {
  const steps = greeting(endpoint);
  let replies = await converse(connection, endpoint, steps);
  const [hello] = replies;
  let identity: Identity;
  if (hello instanceof ReplyError && isUnknown(hello)) {
    const older = olderGreeting(endpoint);
    replies = await converse(connection, endpoint, older);
    refuse(endpoint, older, replies);
    const clientId = replies[
      older.findIndex(({ command }) => command[1] === "ID")
    ];
    identity = typeof clientId === "number" ? { clientId } : {};
  } else {
    refuse(endpoint, steps, replies);
    identity = identityOf(hello);
  }
  connection.established(identity);
  // Older servers count the unknown command as an error; leave their statistics alone.
  if (isAtLeast(identity.version, 7, 2)) {
    for (const command of INTRODUCTION) {
      say(connection, command).catch(() => {});
    }
  }
}

async function converse(
  connection: Connection,
  endpoint: Endpoint,
  steps: Step[],
): Promise<Reply[]> {
  try {
    return await Promise.all(
      steps.map(({ command }) => say(connection, command)),
    );
  } catch (error) {
    if (!(error instanceof ConnectionClosedError)) throw error;
    const { how, cause } = error.report;
    throw new DialError(
      endpoint,
      "handshake",
      how === "protocol-error"
        ? `the server does not speak the Redis protocol: ${cause}`
        : how === "silence"
        ? `the server accepted the connection and said nothing (${cause})`
        : `the connection ended before Redis had answered (${
          how === "fin" ? "FIN" : cause ?? how
        })`,
      {
        cause: error,
        isRetriable: how !== "protocol-error" && how !== "tls-alert",
      },
    );
  }
}

function refuse(endpoint: Endpoint, steps: Step[], replies: Reply[]): void {
  steps.forEach(({ command, onRefusal }, i) => {
    const reply = replies[i];
    if (onRefusal === "ignore" || !(reply instanceof ReplyError)) return;
    // A server that does not know AUTH repeats its arguments.
    const [text = ""] = reply.message.split(", with args");
    const password = endpoint.credentials()?.password;
    const cause = new ReplyError(mask(text, password));
    throw new DialError(
      endpoint,
      "handshake",
      `the server refused ${command[0]}: ${cause.message}`,
      { cause, isRetriable: isPassingInHandshake(reply) },
    );
  });
}

/**
 * Sends one command on a connection, without retry or replay.
 *
 * @param connection An open connection.
 * @param command The command.
 * @param binary Whether bulk strings of the reply become `Uint8Array`. @default {false}
 * @returns The reply; an error reply is a value.
 * @throws {ConnectionClosedError} If the connection ends before the reply.
 */
export function say(
  connection: Pick<Connection, "push">,
  command: Command,
  binary = false,
): Promise<Reply> {
  return new Promise((resolve, reject) =>
    connection.push({
      command,
      binary,
      patienceMs: 0,
      settle: resolve,
      lose: ({ report, fate }) =>
        reject(new ConnectionClosedError(report, fate)),
    })
  );
}

/** HELLO is not known, or not allowed to be: Redis 5, and proxies that speak RESP2 only. */
const isUnknown = ({ message }: ReplyError): boolean =>
  /^(ERR unknown command|NOPROTO|ERR unsupported|ERR Protocol|NOPERM)/i.test(
    message,
  );

/** HELLO answers a flat list of names and values in RESP2. */
function identityOf(hello: Reply | undefined): Identity {
  const identity: { clientId?: number; version?: string } = {};
  if (!Array.isArray(hello)) return identity;
  for (let i = 0; i + 1 < hello.length; i += 2) {
    const value = hello[i + 1];
    if (hello[i] === "id" && typeof value === "number") {
      identity.clientId = value;
    }
    if (hello[i] === "version" && typeof value === "string") {
      identity.version = value;
    }
  }
  return identity;
}

function isAtLeast(
  version: string | undefined,
  major: number,
  minor: number,
): boolean {
  const [a = 0, b = 0] = version?.split(".").map(Number) ?? [];
  return a > major || (a === major && b >= minor);
}
