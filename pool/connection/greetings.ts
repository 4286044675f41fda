// The greeting of Redis 6 and later, and what is known of greetings at an endpoint.
import { ReplyError } from "../../resp/errors.ts";
import type { Command } from "../../resp/types.ts";
import type { DialCredentials } from "../socket/credentials.ts";
import type { Endpoint } from "../socket/endpoint.ts";
import type { Identity } from "./identity.ts";
import type { Slot } from "./in_flight.ts";

/** Where a handshake leads, as which user, and what must be found there. */
export interface Login {
  readonly endpoint: Endpoint;
  readonly credentials: DialCredentials | undefined;
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

/** Selects the database, if it is not the first one. */
export const selection = ({ database }: Endpoint): Step[] =>
  database === 0 ? [] : [{ command: ["SELECT", database], onRefusal: "fatal" }];

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

/**
 * How long HELLO and CLIENT are left out after a close that they may have
 * caused, in milliseconds; they are tried again then, since it may have had
 * another cause. Each further close doubles the time, up to ten times.
 */
const BARE_MS = 60_000;
const BARE_DOUBLINGS = 10;

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
