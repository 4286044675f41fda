// The ways to send a command, and the reasons against sharing a connection.
import type { Command, Reply } from "../../resp/types.ts";
import { numberOf, optionOf, streamsAt, textOf } from "./words.ts";
import type { Change, HasTimedOut, Route, RouteRule } from "./row.ts";

export const SHARED: Route = { kind: "shared" };
export const URGENT: Route = { kind: "urgent" };

/** What to do about a command that cannot be shared. */
export const USE_A_LEASE = "; use redis.lease()";

const stateful = (
  changes: Change,
  why: string,
  whatToDo = USE_A_LEASE,
): Route => ({
  kind: "stateful",
  why: why + whatToDo,
  changes,
});

const ofTransaction = (changes: Change, method: string): Route =>
  stateful(
    changes,
    "a transaction belongs to one connection",
    `; use ${method}, or redis.lease()`,
  );
export const opensTransaction = ofTransaction(
  "opens a transaction",
  "redis.transaction()",
);
export const endsTransaction = ofTransaction(
  "ends the transaction",
  "redis.transaction()",
);
export const watches = ofTransaction("watches keys", "redis.watch()");
export const unwatches = ofTransaction("watches no key", "redis.watch()");

const FOR_ALL =
  "it would change the connection for every caller that shares it";
export const changesSettings = stateful("settings", FOR_ALL);
export const resets = stateful("resets", FOR_ALL);
export const changesReplies = stateful(
  "replies",
  "it changes which commands are answered",
);
/** https://redis.io/docs/latest/commands/himport/ */
export const changesFieldsets = stateful(
  "settings",
  "a fieldset belongs to one connection",
);

const refused = (why: string): Route => ({ kind: "refused", why });

export const answeredOften = refused(
  "the server answers it with more than one reply, which this client does not support",
);
export const ofReplicas = refused(
  "it is for a replica that talks to its primary, and the server leaves some forms of it unanswered, which this client does not support",
);
const ofRESP3 = refused(
  "it switches to another protocol than RESP2, which this client does not support; use HELLO 2",
);

/** HELLO alone only asks; with a version it switches to it, and this client reads version 2. */
export const greets = (command: Command): Route =>
  command.length > 1 && textOf(command[1]) !== "2" ? ofRESP3 : changesSettings;

/** FAILOVER waits for a replica; FAILOVER ABORT ends the wait. */
export const failsOver = (command: Command): Route =>
  optionOf(command[1]) === "ABORT" ? URGENT : SHARED;

/** The time that a timeout stands for: 0 is no limit. */
const waitMs = (ms: number): number => ms > 0 ? ms : Infinity;

const blocking = (
  command: Command,
  timeoutAt: number,
  unitMs: number,
  hasTimedOut: HasTimedOut | undefined,
  idsAt?: number,
): Route => ({
  kind: "blocking",
  extraReplyTimeoutMs: waitMs(numberOf(command[timeoutAt]) * unitMs),
  timeoutAt,
  unitMs,
  hasTimedOut,
  idsAt,
});

const isNull = (reply: Reply): boolean => reply === null;

/** Blocks for the seconds in the argument at `at`; -1 is the last one. */
export const blocks = (at: number): RouteRule => (command) =>
  blocking(command, at < 0 ? command.length + at : at, 1000, isNull);

/** XREAD and XREADGROUP block only with BLOCK, which is before STREAMS, in milliseconds. */
export function blocksIfAsked(command: Command): Route {
  const streams = streamsAt(command);
  const end = streams === 0 ? command.length : streams - 1;
  // A group and its consumer may be named like an option.
  const from = optionOf(command[1]) === "GROUP" ? 4 : 1;
  let timeoutAt = 0;
  for (let at = from; at < end; at++) {
    if (optionOf(command[at]) === "BLOCK") timeoutAt = ++at;
  }
  if (timeoutAt === 0) return SHARED;
  const idsAt = (streams + command.length) / 2;
  // Without an id for each stream the server refuses it.
  return streams === 0 || !Number.isInteger(idsAt)
    ? blocking(command, timeoutAt, 1, undefined)
    : blocking(command, timeoutAt, 1, isNull, idsAt);
}

/** TS.READ key timestamp [BLOCK milliseconds least] [MAX_COUNT most] */
export function blocksSeries(command: Command): Route {
  const at = command.findIndex((word, i) =>
    i > 2 && optionOf(word) === "BLOCK"
  );
  return at < 0 ? SHARED : blocking(command, at + 1, 1, undefined);
}

/** WAIT and WAITAOF concern what was written on their own connection; the milliseconds are in the argument at `at`. */
const waitsForWrites =
  (timeoutAt: number, hasTimedOut: HasTimedOut): RouteRule => (command) => ({
    kind: "own-writes",
    why: "it waits for what was written on the same connection" + USE_A_LEASE,
    extraReplyTimeoutMs: waitMs(numberOf(command[timeoutAt])),
    timeoutAt,
    unitMs: 1,
    hasTimedOut,
    idsAt: undefined,
  });

/** WAIT replicas milliseconds: it answers how many replicas there are so far. */
export const waitsForReplicas = waitsForWrites(
  2,
  (reply, command) => typeof reply === "number" && reply < numberOf(command[1]),
);

/** WAITAOF local replicas milliseconds: it answers both numbers. */
export const waitsForFiles = waitsForWrites(
  3,
  (reply, command) =>
    Array.isArray(reply) &&
    reply.some((count, i) => Number(count) < numberOf(command[i + 1])),
);
