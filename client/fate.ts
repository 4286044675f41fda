// Whether the command behind an error may have run.
import type { Fate } from "../pool/connection/fate.ts";
import { fateOfReply } from "../pool/connection/refusal.ts";
import { ReplyError } from "../resp/errors.ts";

/** The fates, the worst first: that which says least. */
const FATES: readonly Fate[] = ["unknown", "executed", "unsent"];

/** What became of the calls that an abort ended, by its reason: that is the caller's own, and is left as it is. */
const ofAborts = new WeakMap<object, Fate>();

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null;

const isFate = (value: unknown): value is Fate => FATES.includes(value as Fate);

/** What became of several commands, or of one in several attempts, as one word. */
export const worstOf = (fates: readonly Fate[]): Fate =>
  FATES.find((fate) => fates.includes(fate)) ?? "unsent";

/** Notes what became of a call under the reason of its abort, for {@linkcode fateOf}. One reason may end several calls: the worst fate counts. */
export function noteAbort(reason: unknown, fate: Fate): void {
  if (!isObject(reason)) return;
  ofAborts.set(reason, worstOf([fate, ofAborts.get(reason) ?? "unsent"]));
}

/** The last line of a stack: all that a copy of an error keeps of its fate. */
const IN_STACK = /\n {4}\((?:command: .*, )?fate: (unsent|executed|unknown)\)$/;

const marked = new WeakSet<Error>();

/**
 * Puts its fate on an error of this client that is about to reach a caller: as
 * a property, and as the last line of its stack. The reason of an abort stays as it is.
 *
 * @param error The error.
 * @param otherwise Its fate, where it has none of its own.
 * @returns The error.
 */
export function withFate<Thrown>(error: Thrown, otherwise: Fate): Thrown {
  if (
    !(error instanceof Error) || ofAborts.has(error) || marked.has(error) ||
    !Object.isExtensible(error)
  ) return error;
  marked.add(error);
  const { fate = otherwise, command } = error as {
    fate?: Fate;
    command?: string;
  };
  if (!("fate" in error)) {
    Object.defineProperty(error, "fate", { value: fate, enumerable: true });
  }
  const name = command === undefined ? "" : `command: ${command}, `;
  const plain = Object.getOwnPropertyDescriptor(error, "stack");
  return Object.defineProperty(error, "stack", {
    configurable: true,
    // Formatted only when it is read: that takes longer than all the rest.
    get: () =>
      `${plain?.get?.call(error) ?? plain?.value}\n    (${name}fate: ${fate})`,
    set: (value) =>
      Object.defineProperty(error, "stack", { value, writable: true }),
  });
}

/**
 * What became of a command that was rejected with `error`: over all its
 * attempts, if there were several.
 *
 * Every error that a client rejects with has its fate as the property `fate`.
 * This function finds it also behind the `cause` of an error that wraps it,
 * among the `errors` of an `AggregateError` (the worst of them counts), and in
 * a copy made by `structuredClone` or `postMessage`, which keeps no property
 * but the stack. A copy whose stack was cut, or that holds only the
 * message, is `"unknown"`.
 *
 * The reason of an abort is the caller's own and gets no property. It is known by its
 * identity, so a primitive or a copy is `"unknown"`, and one reason that has
 * ended several calls stands for the worst of them.
 *
 * @example A dial that failed sent nothing
 * ```ts
 * import { DialError, fateOf } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new DialError("redis.example:6379", "connect", "no such host");
 * assertEquals(fateOf(error), "unsent");
 * assertEquals(fateOf(new Error("Cannot save", { cause: error })), "unsent");
 * ```
 *
 * @param error What a call rejected with.
 * @returns `"unsent"` only if it cannot have run; `"executed"` if the server
 * ran it and answered with an error; `"unknown"` for everything else.
 */
export function fateOf(error: unknown): Fate {
  return find(error, []) ?? "unknown";
}

function find(error: unknown, above: readonly unknown[]): Fate | undefined {
  if (!isObject(error) || above.includes(error)) return undefined;
  const ofAbort = ofAborts.get(error);
  if (ofAbort !== undefined) return ofAbort;
  const { fate, errors } = error as Record<string, unknown>;
  if (isFate(fate)) return fate;
  const inside = [...above, error];
  if (Array.isArray(errors) && errors.length > 0) {
    return worstOf(errors.map((one) => find(one, inside) ?? "unknown"));
  }
  if (error instanceof ReplyError) return fateOfReply(error);
  // Read last: formatting a stack takes longer than all the rest.
  const { stack, cause } = error as Record<string, unknown>;
  const [, ofCopy] = IN_STACK.exec(`${stack}`) ?? [];
  return isFate(ofCopy) ? ofCopy : find(cause, inside);
}
