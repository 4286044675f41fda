// Which commands may be sent again although they may have run already, with reasons.
import type { Command } from "../../resp/types.ts";
import { EVERYTHING } from "./effects.ts";
import type { Effect, How, Touch } from "./row.ts";
import { rowOf } from "./table.ts";
import { upper, wordsOf } from "./words.ts";

/** Whether a command that may have run may be sent again. */
export type ReplayPolicy = "auto" | "reads" | "always" | "never";

/**
 * Why commands that may have run, in this order, are not sent again.
 *
 * A second run counts as harmless if it ends in the same state. This holds as
 * long as no other client writes the key before the first copy has run or is
 * lost: a network may hold that copy back, on a connection that went silent,
 * until after a later `SET`. A count in the reply (`ZADD`, `DEL` …) may differ
 * the second time.
 *
 * @param commands The commands; none, if none of them can have run.
 * @param policy What the caller allows.
 * @returns The reason, or `undefined` if they may be sent again.
 */
export function reasonAgainstReplay(
  commands: readonly Command[],
  policy: ReplayPolicy,
): string | undefined {
  if (commands.length === 0 || policy === "always") return undefined;
  if (policy === "never") return 'it was not replayed: replay is "never"';
  if (policy === "auto") return sequenceHazard(commands);
  const other = commands.find((command) => !isRead(command));
  return other &&
    `${
      other[0]
    } was not replayed: replay is "reads", and the command may write`;
}

/** Whether a command is known to write nothing. */
export function isRead(command: Command): boolean {
  const effect = effectOf(command);
  return typeof effect !== "string" && effect.every(isReading);
}

/**
 * What a second run of a command does, apart from a count in the reply
 * (`ZADD`, `DEL` …), which may differ the second time.
 *
 * @param command The command.
 * @returns The harm in words, or the keys that it touches if it does no harm.
 */
export function effectOf(command: Command): Effect {
  const { effect, keys } = rowOf(command);
  if (typeof effect !== "function") return effect;
  const words = wordsOf(command);
  return effect(words, keys(words));
}

const isReading = ({ how }: Touch): boolean => how === "reads";

/** What earlier commands of a sequence have done to a key. */
interface Past {
  /** The last command that read it, if any. */
  readBy?: string;
  /** The last command that wrote it, if any. */
  writtenBy?: string;
  /** It was replaced, so that what follows does not depend on its earlier value. */
  isReplaced?: boolean;
  /** The part of it that was altered, if any. */
  altered?: string;
  /** Its time to live was set or removed. */
  isExpired?: boolean;
  /** The type of value that additions and removals so far expect. */
  type?: string;
  /** The last change to its elements. */
  part?: "adds" | "removes";
  /** Elements were added after removals, or removed after additions. */
  alternates?: boolean;
  /** Elements with certain scores were removed. */
  isFiltered?: boolean;
}

/**
 * Why commands that may have run, in this order, must not be sent again
 * together, though each is harmless alone.
 *
 * The first copy may have run up to any of them. The second run ends in the
 * same state, with the same replies, if for each key
 *
 * - no command reads it before another one writes it, and
 * - no write depends on how far the first copy came: either the first write
 *   replaces the value, or all of them expect the same type, so that all fail
 *   or none does, treat each element by itself, and set the expiry last.
 *
 * @param commands The commands.
 * @returns The reason, or `undefined` if a second run is harmless.
 */
export function sequenceHazard(
  commands: readonly Command[],
): string | undefined {
  const pasts = new Map<string, Past>();
  let everythingReadBy: string | undefined;
  let hazard: string | undefined;
  for (const command of commands) {
    const name = upper(command[0]);
    const effect = effectOf(command);
    // The reason against one command says more than one against the sequence.
    if (typeof effect === "string") {
      return `${name} was not replayed: ${effect}`;
    }
    for (const touch of effect) {
      if (hazard !== undefined || isReading(touch)) continue;
      hazard = everythingReadBy === undefined
        ? write(pastOf(pasts, touch.key), name, touch)
        : readBefore(everythingReadBy, name);
    }
    for (const { key } of effect.filter(isReading)) {
      if (key === EVERYTHING) everythingReadBy = name;
      else pastOf(pasts, key).readBy = name;
    }
  }
  return hazard && `the pipeline was not replayed: ${hazard}`;
}

function pastOf(pasts: Map<string, Past>, key: string): Past {
  let past = pasts.get(key);
  if (past === undefined) pasts.set(key, past = {});
  return past;
}

const readBefore = (reader: string, writer: string): string =>
  `${reader} reads what ${writer} writes after it, so a second run would read the new value`;

/** Adds a write to the past of its key. Returns the reason if it must not run twice after that. */
function write(past: Past, name: string, touch: Touch): string | undefined {
  // A move depends on the other key as well.
  if (past.isReplaced && touch.how !== "moves") return undefined;
  if (past.readBy !== undefined) return readBefore(past.readBy, name);
  if (past.writtenBy !== undefined && !mayFollow(past, touch)) {
    return `what ${past.writtenBy} and ${name} do to the same key depends on its earlier value`;
  }
  past.writtenBy = name;
  const { how, type } = touch;
  switch (how) {
    case "replaces":
      past.isReplaced = true;
      break;
    case "alters":
    case "moves":
      past.altered = type;
      break;
    case "expires":
      past.isExpired = true;
      break;
    case "adds":
    case "removes":
    case "filters":
      past.type = type;
      past.alternates ||= past.part !== undefined && past.part !== partOf(how);
      past.part = partOf(how);
      past.isFiltered ||= how === "filters";
  }
  return undefined;
}

const partOf = (how: How): "adds" | "removes" =>
  how === "adds" ? how : "removes";

/** Whether a write may follow earlier ones to the same key, each of which may have run already. */
function mayFollow(past: Past, { how, type }: Touch): boolean {
  switch (how) {
    case "expires":
      // A time in the past deletes the key, so an expiry on a condition depends on it.
      return past.altered !== "expiry";
    case "adds":
    case "removes":
    case "filters":
      return past.altered === undefined && !past.isExpired &&
        (past.type ?? type) === type &&
        // If additions and removals alternate more than once, the second run may
        // remove the last element in between, and the key would lose its expiry.
        !(past.alternates && past.part !== partOf(how)) &&
        // The same holds if an addition gave that element a score to be removed.
        !(past.isFiltered && how === "adds");
    default:
      return false;
  }
}
