// What a failed attempt leads to expect of a later one.
import { DialError } from "../pool/socket/dial_error.ts";
import { isNotRun, isPassing } from "../pool/connection/refusal.ts";
import { ReplyError } from "../resp/errors.ts";
import { RetryError } from "../retry/retry.ts";
import { PipelineError } from "./pipeline_error.ts";

/**
 * What to expect of a later attempt:
 *
 * - `"final"`: the same failure, since it is the command that cannot be sent or is refused;
 * - `"denied"`: the same failure for every command, since no connection can be opened
 *   with this client's options, such as with a wrong password;
 * - `"refused"`: success, once the server takes commands of this kind again;
 * - `"away"`: success, once the server can be reached and answers, and the cluster
 *   that it is a node of is complete.
 */
export type Outlook = "final" | "denied" | "refused" | "away";

/** Refusals of a server as a whole that end when there is room again, on its disk or in a quota. */
const CURABLE: readonly RegExp[] = [
  /^OOM\b/,
  /^MISCONF\b/,
  /^ERR max (?:daily )?requests? /,
  /^ERR service is not available/,
];

/**
 * What to expect of a later attempt.
 *
 * @param error What a call rejected with, or an error reply of a pipeline.
 */
export function outlookOf(error: unknown): Outlook {
  if (error instanceof RetryError || error instanceof PipelineError) {
    return outlookOf(error.cause);
  }
  if (error instanceof ReplyError) {
    if (error.code === "WRONGTYPE") return "final";
    if (error.code === "CLUSTERDOWN") return "away";
    return isNotRun(error) && !isPassing(error) && !isCurable(error)
      ? "final"
      : "refused";
  }
  if (error instanceof DialError) return error.isRetriable ? "away" : "denied";
  return error instanceof TypeError || error instanceof RangeError
    ? "final"
    : "away";
}

const isCurable = ({ message }: ReplyError): boolean =>
  CURABLE.some((text) => text.test(message));
