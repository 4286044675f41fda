// Which commands may share a connection with other callers.
import { checkCommand } from "../resp/encode.ts";
import type { Command } from "../resp/mod.ts";

/** How a command travels: shared, on a lease of its own, or only on a lease that the caller holds. */
export type Route =
  | { readonly kind: "shared" }
  | { readonly kind: "blocking"; readonly patienceMs: number }
  | {
    readonly kind: "own-writes";
    /** Why it cannot be shared, and what to do. */
    readonly why: string;
    readonly patienceMs: number;
  }
  | {
    readonly kind: "stateful";
    readonly why: string;
    readonly answers: "once" | "many";
  };

const SHARED: Route = { kind: "shared" };

type Rule = Route | ((command: Command) => Route);

/** What to do about a command that cannot be shared. */
export const ALONE = "; use redis.lease()";

const stateful = (why: string): Route => ({
  kind: "stateful",
  why: why + ALONE,
  answers: "once",
});

const TRANSACTION = stateful("a transaction belongs to one connection");
const CHANGES = stateful(
  "it changes the connection for everyone who shares it",
);
const STREAM: Route = {
  kind: "stateful",
  why:
    "the server answers it with more than one reply, which this client does not support",
  answers: "many",
};

const CLIENT_STATE = new Set([
  "TRACKING",
  "CACHING",
  "SETNAME",
  "SETINFO",
  "NO-EVICT",
  "NO-TOUCH",
]);

/** Blocks for the seconds in one argument; 0 is for ever. */
const blocksFor = (position: number) => (command: Command): Route => {
  const seconds = numberOf(command.at(position));
  return blocking(seconds * 1000);
};

/** XREAD and XREADGROUP block only with BLOCK, which stands before STREAMS, in milliseconds. */
function blockOption(command: Command): Route {
  // The names of a group and its consumer may look like options.
  const from = upper(command[1]) === "GROUP" ? 4 : 1;
  for (let i = from; i < command.length; i++) {
    const word = upper(command[i]);
    if (word === "STREAMS") break;
    if (word === "BLOCK") return blocking(numberOf(command[i + 1]));
  }
  return SHARED;
}

/** WAIT and WAITAOF ask about what was written on the same connection. */
const waits = (position: number) => (command: Command): Route => ({
  kind: "own-writes",
  why: "it waits for what was written on the same connection" + ALONE,
  patienceMs: patience(numberOf(command.at(position))),
});

const blocking = (ms: number): Route => ({
  kind: "blocking",
  patienceMs: patience(ms),
});

/** 0 is for ever. */
const patience = (ms: number): number => ms > 0 ? ms : Infinity;

function client(command: Command): Route {
  const subcommand = upper(command[1]);
  if (subcommand === "REPLY") {
    return stateful("it changes which commands are answered");
  }
  return CLIENT_STATE.has(subcommand) ? CHANGES : SHARED;
}

/** The same rule for each of the names. */
const each = (rule: Rule, names: string): [string, Rule][] =>
  names.split(" ").map((name) => [name, rule]);

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...each(TRANSACTION, "MULTI EXEC DISCARD WATCH UNWATCH"),
  ...each(
    STREAM,
    "SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUNSUBSCRIBE MONITOR SYNC PSYNC",
  ),
  ...each(CHANGES, "SELECT AUTH HELLO RESET QUIT READONLY READWRITE ASKING"),
  ["SCRIPT", (c) => upper(c[1]) === "DEBUG" ? CHANGES : SHARED],
  ["CLIENT", client],
  // https://redis.io/docs/latest/commands/blpop/ and its siblings
  ...each(blocksFor(-1), "BLPOP BRPOP BRPOPLPUSH BLMOVE BZPOPMIN BZPOPMAX"),
  ["BLMPOP", blocksFor(1)],
  ["BZMPOP", blocksFor(1)],
  ["XREAD", blockOption],
  ["XREADGROUP", blockOption],
  ["WAIT", waits(2)],
  ["WAITAOF", waits(3)],
]);

// Names as people write them, so that the common case is one look-up.
const BY_SPELLING = new Map<string, Rule>();
for (const [name, rule] of RULES) {
  BY_SPELLING.set(name, rule).set(name.toLowerCase(), rule);
}
/** Seen and without a rule, in whatever spelling. */
const PLAIN = new Set<string>();
const MOST_PLAIN = 1000;

/**
 * How a command must travel.
 *
 * @param command The command.
 * @returns Its route; unknown commands are shared.
 */
export function routeOf(command: Command): Route {
  if (!Array.isArray(command)) checkCommand(command);
  const name = command[0];
  if (PLAIN.has(name)) return SHARED;
  const rule = BY_SPELLING.get(name) ?? RULES.get(upper(name));
  if (rule === undefined) {
    if (PLAIN.size < MOST_PLAIN) PLAIN.add(name);
    return SHARED;
  }
  return typeof rule === "function" ? rule(command) : rule;
}

/** An argument as text. */
export const textOf = (argument: unknown): string =>
  argument instanceof Uint8Array
    ? new TextDecoder().decode(argument)
    : `${argument ?? ""}`;

const numberOf = (argument: unknown): number => Number(textOf(argument));

/** An argument as an upper-case word. */
export const upper = (argument: unknown): string =>
  textOf(argument).toUpperCase();
