// Greetings: the commands that open a connection, as far as their endpoint is known to take them.
import { ReplyError } from "../../resp/errors.ts";
import type { Command } from "../../resp/types.ts";
import type { Credentials } from "../socket/credentials.ts";
import type { Endpoint } from "../socket/endpoint.ts";
import type { Identity } from "./identity.ts";
import type { Slot } from "./in_flight.ts";
import { isPassingInHandshake } from "./refusal.ts";

/** Where a handshake leads, as which user, and what must be found there. */
export interface Login {
  readonly endpoint: Endpoint;
  readonly credentials: Credentials | undefined;
  /** The role that the server must have; `undefined`: any. */
  readonly expects?: "primary" | undefined;
  /** Whether it leads to a node of a cluster, as the client is one of the whole cluster. */
  readonly isClusterNode?: boolean | undefined;
}

/** A command of the handshake. */
export interface Step {
  /** What is sent. */
  readonly command: Command;
  /** Whether a refusal ends the handshake. */
  readonly onRefusal: "fatal" | "ignore";
}

/** For Redis 6 and later: https://redis.io/docs/latest/commands/hello/ */
export function hello({ endpoint, credentials }: Login): Command {
  const command: [string, ...string[]] = ["HELLO", "2"];
  if (credentials !== undefined) {
    command.push("AUTH", credentials.username, credentials.password);
  }
  if (endpoint.clientName !== undefined) {
    command.push("SETNAME", endpoint.clientName);
  }
  return command;
}

/** Whether a refusal of HELLO is fatal: no other greeting would be answered better. */
export const isFinal = (refusal: ReplyError): boolean =>
  refusal.code === "WRONGPASS" || refusal.code === "DENIED" ||
  isPassingInHandshake(refusal);

/** Selects the database, if it is not the first one. */
export const selection = ({ database }: Endpoint): Step[] =>
  database === 0 ? [] : [{ command: ["SELECT", database], onRefusal: "fatal" }];

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

/** What is known of greetings at an endpoint. Each handshake may add to it. */
export interface GreetingHistory {
  /** Whether HELLO was ever answered: then a close is not about HELLO. */
  answersHello: boolean;
  /** Until this, by `performance.now()`, AUTH and PING are all that is sent. */
  bareUntil: number;
  /** How often a greeting ended in a close that HELLO may have caused. */
  closes: number;
  /** Whether CLIENT SETINFO is sent: not after it was refused. */
  takesIntroduction: boolean;
}

/**
 * How long HELLO and CLIENT are left out after a close that they may have
 * caused, in milliseconds; they are tried again then, since it may have had
 * another cause. Each further close doubles the time, up to ten times.
 */
const BARE_MS = 60_000;
const BARE_DOUBLINGS = 10;

const histories = new WeakMap<Endpoint, GreetingHistory>();

/** The history of an endpoint, for as long as that very object is in use. */
export function greetingHistoryOf(endpoint: Endpoint): GreetingHistory {
  let history = histories.get(endpoint);
  if (history === undefined) {
    history = {
      answersHello: false,
      bareUntil: -Infinity,
      closes: 0,
      takesIntroduction: true,
    };
    histories.set(endpoint, history);
  }
  return history;
}

/** Whether to send AUTH and PING alone. */
export const isBare = ({ bareUntil }: GreetingHistory): boolean =>
  performance.now() < bareUntil;

/** Notes that the server closed during a greeting: because of a command that it does not know, or for another reason. */
export function noteClose(history: GreetingHistory, wasBare: boolean): void {
  if (wasBare || history.answersHello) {
    history.bareUntil = -Infinity;
    return;
  }
  history.bareUntil = performance.now() +
    BARE_MS * 2 ** Math.min(history.closes++, BARE_DOUBLINGS);
}

/** Since Redis 7.2: https://redis.io/docs/latest/commands/client-setinfo/ */
const INTRODUCTION: readonly Command[] = [
  ["CLIENT", "SETINFO", "LIB-NAME", "unzombie"],
  ["CLIENT", "SETINFO", "LIB-VER", "0.1.0"],
];

/**
 * The slots that go before the first command. There are none for a server that
 * is older, or whose version is not known: it would count an unknown command as
 * an error in its statistics.
 */
export function introductionTo(
  endpoint: Endpoint,
  { version }: Identity,
): Slot[] {
  const history = greetingHistoryOf(endpoint);
  if (!history.takesIntroduction || !isAtLeast(version, 7, 2)) return [];
  const omitFromNowOn = () => {
    history.takesIntroduction = false;
  };
  return INTRODUCTION.map((command) => ({
    command,
    binary: false,
    extraReplyTimeoutMs: 0,
    resolve: (reply) => {
      if (reply instanceof ReplyError) omitFromNowOn();
    },
    lose: ({ report }) => {
      // A proxy that closes on a command that it does not know.
      if (report.how === "fin" || report.how === "rst") omitFromNowOn();
    },
  }));
}

/**
 * Whether a version is a given one or a later one.
 *
 * @param version Such as `"7.2.4"`; `undefined` is earlier than any.
 * @param major The first number of the given version.
 * @param minor Its second number.
 */
function isAtLeast(
  version: string | undefined,
  major: number,
  minor: number,
): boolean {
  const [a = 0, b = 0] = version?.split(".").map(Number) ?? [];
  return a > major || (a === major && b >= minor);
}
