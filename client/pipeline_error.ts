// The error of a pipeline of which some commands were answered and some not.
import { ReplyError } from "../resp/errors.ts";
import type { Reply } from "../resp/types.ts";
import { ConnectionClosedError } from "../pool/connection/close_report.ts";
import type { Fate } from "../pool/connection/fate.ts";
import { RetryError } from "../retry/retry.ts";
import { fateOf, withFate } from "./fate.ts";

/**
 * Some commands of a pipeline were answered and some not. `outcomes` says what
 * became of each, in the order of the commands; `cause` is what ended the
 * pipeline for those without a reply.
 *
 * The fate of a command without a reply is that of its error: only where it is
 * `"unsent"` the command cannot have run. The fate of the pipeline is `"unsent"`
 * or `"executed"` only if it is that of every command, else `"unknown"`.
 *
 * The outcomes are not printed with the error, since replies are data.
 *
 * @example Keep what was answered, send again what was not
 * ```ts
 * import { type Command, fateOf, PipelineError } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * const commands: Command[] = [["GET", "a"], ["INCR", "b"]];
 * const lost = new Error("Connection closed");
 * const error = new PipelineError(["1", lost], lost);
 *
 * const isLost = (i: number) => error.outcomes[i] instanceof Error;
 * assertEquals(commands.filter((_, i) => isLost(i)), [["INCR", "b"]]);
 * assertEquals(fateOf(error.outcomes[1]), "unknown"); // it may have run
 * assertEquals(fateOf(error), "unknown");
 * assertEquals(
 *   error.message,
 *   "Cannot send a pipeline of 2 commands: 1 was answered, 1 not: Connection closed",
 * );
 * ```
 */
export class PipelineError extends Error {
  /** Always `"PipelineError"`. */
  override readonly name = "PipelineError";
  /** What ended it for the commands without a reply. */
  declare readonly cause: Error;
  /** `"unsent"` if no command can have run, `"executed"` if all ran, else `"unknown"`. */
  readonly fate: Fate;
  readonly #outcomes: readonly (Reply | Error)[];

  /**
   * Makes the error.
   *
   * @param outcomes What became of each command: its reply, or the error with which it was lost.
   * @param cause What ended it for the commands without a reply.
   */
  constructor(outcomes: readonly (Reply | Error)[], cause: Error) {
    super(describe(outcomes, cause), { cause });
    this.fate = jointFateOf(outcomes);
    this.#outcomes = outcomes;
  }

  /**
   * What became of each command, in their order: its reply (an error reply is a
   * `CommandError`), or the error of a command that was not answered.
   */
  get outcomes(): readonly (Reply | Error)[] {
    return this.#outcomes;
  }
}

const fateOfOutcome = (outcome: Reply | Error): Fate =>
  outcome instanceof Error ? fateOf(outcome) : "executed";

/** What became of all commands together. */
function jointFateOf(outcomes: readonly (Reply | Error)[]): Fate {
  const fates = new Set(outcomes.map(fateOfOutcome));
  const [fate = "unsent"] = fates;
  return fates.size > 1 ? "unknown" : fate;
}

function describe(outcomes: readonly (Reply | Error)[], cause: Error): string {
  const { length } = outcomes;
  const lost = outcomes.filter(isLost).length;
  const refused =
    outcomes.filter((one) =>
      one instanceof ReplyError && fateOf(one) === "unsent"
    ).length;
  const share = lost > 0
    ? `${inWords(length - lost, "answered")}, ${lost} not`
    : `${length - refused} ran, ${inWords(refused, "refused")}`;
  return `Cannot send a pipeline of ${length} commands: ${share}: ${cause.message}`;
}

const inWords = (n: number, verb: string): string =>
  `${n} ${n === 1 ? "was" : "were"} ${verb}`;

/** Whether a command has no reply. */
const isLost = (outcome: Reply | Error): boolean =>
  outcome instanceof Error && !(outcome instanceof ReplyError);

/**
 * The error of a command that was not sent, in a pipeline that ended with an
 * error by which others of its commands may have run.
 */
export function asUnsent(error: Error): Error {
  if (fateOf(error) === "unsent") return error;
  if (error instanceof ConnectionClosedError) {
    return new ConnectionClosedError(error.report, "unsent");
  }
  if (error instanceof RetryError) {
    const { attempts, replays, retryAfterMs } = error;
    return new RetryError(
      error.errors.map((one) => one instanceof Error ? asUnsent(one) : one),
      { attempts, replays, retryAfterMs },
    );
  }
  return withFate(
    new Error("The command was not sent before its pipeline ended", {
      cause: error,
    }),
    "unsent",
  );
}
