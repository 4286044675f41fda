// Whether the command behind an error may have run.
import {
  CheckoutTimeoutError,
  ClosedError,
  ConnectionClosedError,
  DialError,
  type Fate,
} from "../pool/mod.ts";
import { fateOfReply } from "../pool/refusal.ts";
import { RetryError } from "../retry/mod.ts";
import { type Command, ReplyError } from "../resp/mod.ts";

/** Errors of scripts: they may choose any code, after they have done something. */
const ofScripts = new WeakSet<ReplyError>();

/** Whether a command is a script. */
export const isScript = ([name]: Command): boolean =>
  /^(EVAL|FCALL)/i.test(name);

/** Reasons of aborts: whatever they say of themselves, the call they ended may have run. */
const ofAborts = new WeakSet<object>();

/** Keeps in mind that a call was rejected with what says nothing of it, for {@linkcode fateOf}. */
export function noteAbort(reason: unknown): void {
  if (typeof reason === "object" && reason !== null) ofAborts.add(reason);
}

/** Keeps in mind whose answer an error was, for {@linkcode fateOf}. */
export function noteAnswer(command: Command, error: ReplyError): void {
  if (isScript(command)) ofScripts.add(error);
}

/**
 * What became of a command that was rejected with `error`: over all its
 * attempts, if there were several.
 *
 * @example A dial that failed sent nothing
 * ```ts
 * import { DialError, fateOf } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(fateOf(new DialError("redis.example:6379", "connect", "no such host")), "unsent");
 * ```
 *
 * @param error What a call rejected with.
 * @returns `"unsent"` only if it cannot have run; `"executed"` if the server
 * ran it and answered with an error; `"unknown"` for everything else, such as an abort.
 */
export function fateOf(error: unknown): Fate {
  if (ofAborts.has(error as object)) return "unknown";
  if (error instanceof RetryError) {
    const fates = error.errors.map(fateOf);
    const worst = (["unknown", "executed"] as const)
      .find((fate) => fates.includes(fate));
    return worst ?? "unsent";
  }
  if (
    error instanceof ConnectionClosedError || error instanceof DialError ||
    error instanceof CheckoutTimeoutError || error instanceof ClosedError
  ) return error.fate;
  if (error instanceof TypeError || error instanceof RangeError) {
    return "unsent";
  }
  if (!(error instanceof ReplyError)) return "unknown";
  const fate = fateOfReply(error);
  return fate === "unsent" && ofScripts.has(error) ? "unknown" : fate;
}
