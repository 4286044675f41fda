// Which commands may share a connection with other callers.
import { checkCommand } from "../../resp/command.ts";
import type { Command } from "../../resp/mod.ts";

/**
 * How a command travels.
 *
 * - `shared`: on a connection with other callers' commands.
 * - `blocking`: on a connection of its own, since the server answers late on purpose.
 * - `urgent`: on a fresh connection, since it ends what holds up the others.
 * - `own-writes`, `stateful`: only on a lease that the caller holds.
 * - `refused`: nowhere, since its replies are not one for each command.
 */
export type Route =
  | { readonly kind: "shared" }
  | { readonly kind: "blocking"; readonly extraReplyTimeoutMs: number }
  | { readonly kind: "urgent" }
  | {
    readonly kind: "own-writes";
    /** Why it cannot be shared, and what to do. */
    readonly why: string;
    readonly extraReplyTimeoutMs: number;
  }
  | { readonly kind: "stateful"; readonly why: string }
  | { readonly kind: "refused"; readonly why: string };

const SHARED: Route = { kind: "shared" };
const URGENT: Route = { kind: "urgent" };

type Rule = Route | ((command: Command) => Route);

/** What to do about a command that cannot be shared. */
const ALONE = "; use redis.lease()";

const stateful = (why: string): Route => ({
  kind: "stateful",
  why: why + ALONE,
});
const refused = (why: string): Route => ({ kind: "refused", why });

const TRANSACTION = stateful("a transaction belongs to one connection");
const CHANGES = stateful(
  "it changes the connection for every caller that shares it",
);
const FIELDSETS = stateful("a fieldset belongs to one connection");
const STREAM = refused(
  "the server answers it with more than one reply, which this client does not support",
);
const REPLICATION = refused(
  "it is for a replica that talks to its primary, and the server does not answer all of it, which this client does not support",
);
const RESP3 = refused(
  "it asks for another protocol than RESP2, which this client does not support; use HELLO 2",
);

/** A route for each subcommand; the others are shared. */
const bySubcommand = (routes: Readonly<Record<string, Rule>>): Rule => {
  const rules = new Map(Object.entries(routes));
  return (command) => {
    const rule = rules.get(upper(command[1])) ?? SHARED;
    return typeof rule === "function" ? rule(command) : rule;
  };
};

/** HELLO alone asks; with a version it switches to it, and 2 is what this client reads. */
const hello = (command: Command): Route =>
  command.length > 1 && textOf(command[1]) !== "2" ? RESP3 : CHANGES;

/** Blocks for the seconds in one argument; 0 is for ever. */
const blocksFor = (position: number) => (command: Command): Route => {
  const seconds = numberOf(command.at(position));
  return blocking(seconds * 1000);
};

/** XREAD and XREADGROUP block only with BLOCK, which stands before STREAMS, in milliseconds. */
function blockOption(command: Command): Route {
  // The names of a group and its consumer may look like options.
  const from = option(command[1]) === "GROUP" ? 4 : 1;
  for (let i = from; i < command.length; i++) {
    const word = option(command[i]);
    if (word === "STREAMS") break;
    if (word === "BLOCK") return blocking(numberOf(command[i + 1]));
  }
  return SHARED;
}

/** TS.READ key timestamp [BLOCK milliseconds least] [MAX_COUNT most] */
function readsSeries(command: Command): Route {
  const at = command.findIndex((word, i) => i > 2 && option(word) === "BLOCK");
  return at < 0 ? SHARED : blocking(numberOf(command[at + 1]));
}

/** WAIT and WAITAOF ask about what was written on the same connection. */
const waits = (position: number) => (command: Command): Route => ({
  kind: "own-writes",
  why: "it waits for what was written on the same connection" + ALONE,
  extraReplyTimeoutMs: patience(numberOf(command.at(position))),
});

const blocking = (ms: number): Route => ({
  kind: "blocking",
  extraReplyTimeoutMs: patience(ms),
});

/** 0 is for ever. */
const patience = (ms: number): number => ms > 0 ? ms : Infinity;

/** The same rule for each of the names. */
const each = (rule: Rule, names: string): [string, Rule][] =>
  names.split(" ").map((name) => [name, rule]);

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...each(TRANSACTION, "MULTI EXEC DISCARD WATCH UNWATCH"),
  ...each(
    STREAM,
    "SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUNSUBSCRIBE MONITOR",
  ),
  ...each(REPLICATION, "SYNC PSYNC REPLCONF"),
  ...each(CHANGES, "SELECT AUTH RESET QUIT READONLY READWRITE ASKING"),
  ["HELLO", hello],
  [
    "CLIENT",
    bySubcommand({
      REPLY: stateful("it changes which commands are answered"),
      TRACKING: CHANGES,
      CACHING: CHANGES,
      SETNAME: CHANGES,
      SETINFO: CHANGES,
      CAPA: CHANGES,
      "IMPORT-SOURCE": CHANGES,
      "NO-EVICT": CHANGES,
      "NO-TOUCH": CHANGES,
      UNPAUSE: URGENT,
    }),
  ],
  // https://redis.io/docs/latest/commands/himport/
  [
    "HIMPORT",
    bySubcommand({
      PREPARE: FIELDSETS,
      SET: FIELDSETS,
      DISCARD: FIELDSETS,
      DISCARDALL: FIELDSETS,
    }),
  ],
  ["CLUSTER", bySubcommand({ SYNCSLOTS: REPLICATION })],
  ["SCRIPT", bySubcommand({ DEBUG: CHANGES, KILL: URGENT })],
  ["FUNCTION", bySubcommand({ KILL: URGENT, STATS: URGENT })],
  ["FAILOVER", bySubcommand({ ABORT: URGENT })],
  ["SHUTDOWN", URGENT],
  // https://redis.io/docs/latest/commands/blpop/ and its siblings
  ...each(blocksFor(-1), "BLPOP BRPOP BRPOPLPUSH BLMOVE BZPOPMIN BZPOPMAX"),
  ...each(blocksFor(1), "BLMPOP BZMPOP"),
  ["BLMOVEM", blocksFor(5)],
  ...each(blockOption, "XREAD XREADGROUP"),
  ["TS.READ", readsSeries],
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

/** Why a command that cannot be shared does not fit into a pipeline, and what to do. */
export function reasonAgainstPipeline(
  route: Exclude<Route, { kind: "shared" }>,
): string {
  switch (route.kind) {
    case "blocking":
      return "it would block every caller that shares the connection" + ALONE;
    case "urgent":
      return "it would wait behind what it is to end; use redis.send()";
    default:
      return route.why;
  }
}

/** No option, subcommand, number or sensible key is longer. */
const LONGEST = 1024;

/**
 * An argument as text, cut to what options, numbers and keys need: a value of
 * hundreds of megabytes may be no string at all.
 */
export function textOf(argument: unknown): string {
  if (argument instanceof Uint8Array) {
    return new TextDecoder().decode(argument.subarray(0, LONGEST));
  }
  return `${argument ?? ""}`.slice(0, LONGEST);
}

const numberOf = (argument: unknown): number => Number(textOf(argument));

/** An argument as an upper-case word, as a server compares it: letters beyond ASCII have one case. */
export const upper = (argument: unknown): string =>
  textOf(argument).replace(/[a-z]+/g, (letters) => letters.toUpperCase());

/** An option as a server reads it: up to a NUL. */
const option = (argument: unknown): string =>
  upper(argument).replace(/\0.*/s, "");
