// The options of one call.
import type { Command } from "../resp/types.ts";
import type { Retry } from "../retry/retry.ts";
import {
  BOOLEAN,
  checkOptions,
  DURATION,
  FUNCTION,
  type OptionRule,
  RETRY,
  SIGNAL,
} from "./check.ts";
import type { ReplayPolicy } from "./commands/replay.ts";

/** Options of one call. */
export interface SendOptions {
  /** Ends the call, whatever it is doing: the reason is thrown. A command already written may still run. */
  signal?: AbortSignal | undefined;
  /**
   * When the call must be over, in milliseconds after its start: the wait for a
   * connection, every attempt, the waits between them and the reply together.
   * A {@linkcode DeadlineError} says what became of the command. A blocking
   * command's own timeout counts, too. The `deadlineMs` of the retry policy does
   * the same for every call that it serves, but leaves a blocking command its
   * own timeout in addition. The earlier one counts.
   * @default {Infinity}
   */
  deadlineMs?: number | undefined;
  /** Bulk strings of the reply become `Uint8Array`. @default {false} */
  binary?: boolean | undefined;
  /**
   * Whether a command that was written and not answered may be sent again:
   * only where a second run is harmless, only where it reads and writes
   * nothing, always, or never. @default {"auto"}
   */
  replay?: ReplayPolicy | undefined;
  /**
   * Called each time that commands which may have run are about to be sent again,
   * before any wait: from then on a count in a reply, such as that of `ZADD`, may be
   * that of a second run. What it throws goes to the console.
   * @default {none}
   */
  onReplay?: (() => void) | undefined;
  /**
   * Where a command was lost and must not be replayed: make sure by CLIENT
   * KILL that it can no longer run, and find out by a read whether it has. If
   * what it writes is not there, it has not run: it is sent again, or its fate
   * is `"unsent"`. If it is there, it may have been there before, and the fate
   * stays `"unknown"`.
   *
   * It works for SET without options or with NX, SETNX, GETSET, HSET, HSETNX,
   * SADD and ZADD of one value or member, as long as nothing else deletes that
   * value meanwhile, and it does not expire and is not evicted.
   *
   * INFO is sent once on each connection, before the first such command, to
   * identify the run of the server that it leads to. Behind a proxy that sends the
   * commands of several clients over one connection, CLIENT KILL may hit other
   * clients: leave this option off there.
   *
   * @see {@link https://redis.io/docs/latest/commands/client-kill/}
   * @default {false}
   */
  resolveFate?: boolean | undefined;
  /** The retry policy of this call; `false` makes exactly one attempt. @default {the client's} */
  retry?: Retry | false | undefined;
}

const RULES = {
  signal: SIGNAL,
  deadlineMs: DURATION,
  binary: BOOLEAN,
  replay: [
    (value) => ["auto", "reads", "always", "never"].includes(value as string),
    '"auto", "reads", "always" or "never"',
  ],
  onReplay: FUNCTION,
  resolveFate: BOOLEAN,
  retry: RETRY,
} satisfies Record<keyof SendOptions, OptionRule>;

/** The options of a call that was given none. */
export const NO_OPTIONS: SendOptions = {};

/** @throws {TypeError} If an option is unknown or not of its type. */
export function checkSendOptions(options: SendOptions): void {
  checkOptions(options, RULES);
}

/** What sends commands: a `Redis`, a `RedisNode`, a `Lease`, or a double of one in a test. */
export interface CommandSender {
  /** Sends one command; an error reply rejects with a `ReplyError`. */
  send(command: Command, options?: SendOptions): Promise<unknown>;
  /** The servers of a client, each addressed by itself. */
  nodes?(): readonly CommandSender[];
}
