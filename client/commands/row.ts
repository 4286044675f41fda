// What a row of the table says about a command: types alone.
import type { Command, Reply } from "../../resp/types.ts";
import type { Keys, Words } from "./words.ts";

/** Everything about one command that the client depends on. */
export interface Row {
  /** Where its keys are. */
  readonly keys: Keys;
  /** What a second run would do. */
  readonly effect: EffectRule;
  /** How it has to be sent. */
  readonly route: RouteRule;
  /** The read that shows whether it has run, if there is one. */
  readonly probe: ProbeRule | undefined;
  /** What it runs, if it runs other commands: its reply may hold their errors. */
  readonly runs: "script" | "transaction" | undefined;
  /** Whether its arguments may be secrets. */
  readonly hasSecrets: boolean;
  /** The rows of its subcommands, by name in upper case. */
  readonly subcommands: Rows | undefined;
}

/** Rows by the name of the command, in upper case. */
export type Rows = Readonly<Record<string, Row>>;

/**
 * What a command that may run twice does to one key.
 *
 * - `reads` it.
 * - `replaces` it, whatever was there: it never fails.
 * - `adds` to, or `removes` from, a value of one type, each element by itself;
 *   it fails where the value is of another type.
 * - `filters` such a value: removes the elements with certain scores. An addition
 *   may change the score of an element that is there.
 * - `expires` it, whatever it is.
 * - `stores` in it a result made from other keys.
 * - `alters` it in a way that depends on what was there.
 * - `moves` something between it and another key, so that it depends on both.
 */
export type How =
  | "reads"
  | "replaces"
  | "adds"
  | "removes"
  | "filters"
  | "expires"
  | "stores"
  | "alters"
  | "moves";

/** A key that a command reads or writes. */
export interface Touch {
  readonly key: string;
  readonly how: How;
  /** The type of value that it expects, or the part that it looks at; "" if any. */
  readonly type: string;
}

/** What a second run does: the harm in words, or the keys that it touches if it does no harm. */
export type Effect = string | readonly Touch[];

/** The effect, or how it follows from the words of the command and the keys among them. */
export type EffectRule = Effect | ((words: Words, keys: Words) => Effect);

/**
 * How a command has to be sent.
 *
 * - `shared`: on a connection with other callers' commands.
 * - `blocking`: on a connection of its own, since the server may answer late on purpose.
 * - `urgent`: on a fresh connection, since it ends what holds up the others.
 * - `own-writes`, `stateful`: only on a lease.
 * - `refused`: never, since the server does not answer it with one reply.
 */
export type Route =
  | { readonly kind: "shared" }
  | Wait & { readonly kind: "blocking" }
  | { readonly kind: "urgent" }
  | Wait & {
    readonly kind: "own-writes";
    /** Why it cannot be shared, and what to do. */
    readonly why: string;
  }
  | {
    readonly kind: "stateful";
    readonly why: string;
    readonly changes: Change;
  }
  | { readonly kind: "refused"; readonly why: string };

/** The route, or how it follows from the arguments. */
export type RouteRule = Route | ((command: Command) => Route);

/** How long a server may wait before it answers. */
export interface Wait {
  /** The time in milliseconds; `Infinity` if there is no limit. */
  readonly extraReplyTimeoutMs: number;
  /** Which argument holds the time. */
  readonly timeoutAt: number;
  /** The unit of that argument in milliseconds. */
  readonly unitMs: number;
  /**
   * Whether a reply only says that the time was up, so that the command may be
   * sent again. Without it, a reply does not show this.
   */
  readonly hasTimedOut: HasTimedOut | undefined;
  /** Where the ids of the streams begin that it reads: as many as there are keys, which are before them. */
  readonly idsAt: number | undefined;
}

/** Whether the reply to a command only says that the time was up. */
export type HasTimedOut = (reply: Reply, command: Command) => boolean;

/** What a stateful command changes about its connection. */
export type Change =
  | "settings"
  | "opens a transaction"
  | "ends the transaction"
  | "watches keys"
  | "watches no key"
  | "resets"
  | "replies";

/** The read that shows whether a command has run: what the command writes is there as soon as it has run. */
export interface ProbeRule {
  /** The name of the read. */
  readonly read: string;
  /** Which arguments of the command it takes. */
  readonly takes: readonly number[];
  /** What it answers as long as the command has not run. */
  readonly absent: null | 0;
  /** How many words the command has. With more, it might not write, or the value might be gone again. */
  readonly words: number;
  /** An option that it may have as well, as the last word. */
  readonly option?: string;
}
