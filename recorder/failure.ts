// Which commands of a call were not acknowledged, and why.
import { PipelineError } from "../client/pipeline_error.ts";

/** Why a command was not acknowledged; `undefined` if it was. */
export type Failure = { readonly error: unknown } | undefined;

/** The failure of a command, by its reply or by what became of it. */
export const failureIn = (reply: unknown): Failure =>
  reply instanceof Error ? { error: reply } : undefined;

/** The failure of each of several commands, of a call that has failed: some of them may have been answered. */
export function failuresIn(error: unknown, commands: number): Failure[] {
  const outcomes = error instanceof PipelineError ? error.outcomes : [];
  return Array.from(
    { length: commands },
    (_, i) => i in outcomes ? failureIn(outcomes[i]) : { error },
  );
}
