// A transaction that runs only if no other client has written the keys that it depends on.
import { checkCommand } from "../resp/command.ts";
import type { Command, Reply } from "../resp/types.ts";
import { ConnectionClosedError } from "../pool/connection/close_report.ts";
import { checkOptions, type OptionRule, SIGNAL } from "./check.ts";
import { CommandError } from "./command_error.ts";
import { withFate } from "./fate.ts";
import { transactionOf } from "./call_start.ts";
import type { Lease } from "./lease.ts";
import { withErrors } from "./rejection.ts";
import { RetryError } from "../retry/retry.ts";
import { discarded, ranAlone } from "./transaction.ts";

/** Options of {@linkcode Redis.watch}. */
export interface WatchOptions {
  /** How often the transaction is tried. @default {10} */
  attempts?: number | undefined;
  /** Ends it. What is in flight then may run. */
  signal?: AbortSignal | undefined;
}

const OPTIONS = {
  attempts: [
    (value) => Number.isInteger(value) && (value as number) > 0,
    "a whole number of 1 or more",
  ],
  signal: SIGNAL,
} satisfies Record<keyof WatchOptions, OptionRule>;

/** What it takes to run a watched transaction. */
export interface WatchedTransaction {
  readonly keys: readonly string[];
  /** Reads, and makes the commands of the transaction; `undefined` for none. */
  readonly plan: (lease: Lease) => Promise<readonly Command[] | undefined>;
  readonly options: WatchOptions;
  /** Leases a connection to the server of the keys. */
  lease(
    options: { key: string; signal?: AbortSignal | undefined },
  ): Promise<Lease>;
  /** Whether the keys may move to another server. */
  readonly isCluster: boolean;
}

/**
 * Runs a transaction, again while another client writes one of its keys.
 *
 * - Nothing of an attempt that is not the last has run.
 * - The connection watches nothing when it is given back.
 *
 * @returns The replies; `undefined` if there was nothing to run.
 * @throws {RetryError} If a key was written during each attempt.
 */
export async function runWatched(
  { keys, plan, options, lease: leaseOf, isCluster }: WatchedTransaction,
): Promise<Reply[] | undefined> {
  checkOptions(options, OPTIONS);
  const [key] = keys;
  if (key === undefined) {
    throw withFate(
      new TypeError("Cannot watch: expected at least one key, got none"),
      "unsent",
    );
  }
  const { attempts = 10, signal } = options;
  const failures: Error[] = [];
  while (failures.length < attempts) {
    const lease = await leaseOf({ key, signal });
    let isWatching = false;
    try {
      while (failures.length < attempts) {
        isWatching = false;
        await lease.send(["WATCH", ...keys], { signal });
        isWatching = true;
        const replies = await attempt(lease, plan, { signal });
        if (replies !== null) return replies;
        failures.push(
          withFate(new Error("a watched key was written"), "unsent"),
        );
      }
    } catch (error) {
      const isLost = error instanceof ConnectionClosedError && !isWatching;
      // The lease has noted where a key has moved to.
      if (!isLost && !(isCluster && isMoved(error))) throw error;
      failures.push(error);
    } finally {
      await lease[Symbol.asyncDispose]();
    }
  }
  throw withFate(new RetryError(failures), "unsent");
}

const isMoved = (error: unknown): error is CommandError =>
  error instanceof CommandError && error.fate === "unsent" &&
  /^(?:EXECABORT .*: )?MOVED /.test(error.message);

/** @returns The replies, `undefined` for no commands, `null` if a key was written meanwhile. */
async function attempt(
  lease: Lease,
  plan: WatchedTransaction["plan"],
  options: { signal: AbortSignal | undefined },
): Promise<Reply[] | undefined | null> {
  let commands: readonly Command[] | undefined;
  let isPlanned = false;
  try {
    const planned = await plan(lease);
    commands = planned && transactionOf(planned);
    commands?.forEach(checkCommand);
    isPlanned = true;
  } finally {
    // What the plan throws is the outcome, not that the connection is gone.
    if (!isPlanned) await lease.send(["UNWATCH"]).catch(() => {});
  }
  if (commands === undefined || commands.length === 0) {
    await lease.send(["UNWATCH"], options);
    return commands && [];
  }
  return await execute(lease, commands, options);
}

/** Sends all in one push, since nothing of it may be left out. */
async function execute(
  lease: Lease,
  commands: readonly Command[],
  options: { signal: AbortSignal | undefined },
): Promise<Reply[] | null> {
  const queued = [["MULTI"] as const, ...commands].map((command) =>
    lease.send(command, options)
  );
  const executed = lease.send(["EXEC"], options);
  const outcomes = await Promise.allSettled([...queued, executed]);
  const [multi, ...others] = outcomes.map((outcome) =>
    outcome.status === "rejected" ? outcome.reason : undefined
  );
  if (multi instanceof CommandError) throw withFate(ranAlone(multi), "unknown");
  try {
    const replies = await executed as Reply[] | null;
    return replies && await withErrors(renamed(replies, commands));
  } catch (error) {
    const refusal = others.find((one) => one instanceof CommandError);
    const isDiscarded = error instanceof CommandError &&
      refusal !== undefined && refusal !== error;
    if (!isDiscarded) throw error;
    throw withFate(discarded(refusal), "unsent");
  }
}

/** The replies of EXEC, each error with the name of its own command. */
const renamed = (
  replies: readonly Reply[],
  commands: readonly Command[],
): Reply[] =>
  replies.map((reply, i) =>
    reply instanceof CommandError
      ? new CommandError(reply.message, commands[i]![0], reply.fate)
      : reply
  );
