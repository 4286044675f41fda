// Which commands may be sent again although they may have run already, with reasons.
import type { Command } from "../../resp/mod.ts";
import { EVERYTHING } from "./effects.ts";
import type { Effect, Touch } from "./row.ts";
import { rowOf } from "./row_of.ts";
import { upper, wordsOf } from "./words.ts";

/** Whether a command that may have run may be sent again. */
export type ReplayPolicy = "auto" | "reads" | "always" | "never";

/**
 * Why commands that may have run, in this order, are not sent again. "Harmless"
 * holds as long as no other client writes the key before the first copy has run
 * or died: a network may hold it back, behind a connection that went silent,
 * until after a later `SET`. It leaves aside that a count in the reply
 * (`ZADD`, `DEL` …) may be another one the second time.
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
    } was not replayed: replay is "reads", and it is not known to write nothing`;
}

/** Whether a command writes nothing, so that a second run is no risk at all. */
export function isRead(command: Command): boolean {
  const effect = effectOf(command);
  return typeof effect !== "string" && effect.every(isReading);
}

/**
 * What a second run of a command does. It leaves aside that a count in the
 * reply (`ZADD`, `DEL` …) may be another one the second time.
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
  /** It was replaced: what follows does not depend on what was there before. */
  isReplaced?: boolean;
  /** It was altered, and what of it. */
  altered?: string;
  /** It was given a time to live, or lost it. */
  isExpired?: boolean;
  /** Of which type it must be for what added to it or removed from it. */
  type?: string;
  /** What was last done to its elements. */
  part?: "adds" | "removes";
  /** Elements were added after removals, or the other way round. */
  hasTurned?: boolean;
}

/**
 * Why commands that may have run, in this order, must not be sent again
 * together, though each is harmless alone.
 *
 * The first copy may have run up to any of them. The second run ends in the
 * same state, with the same replies, if for each key
 *
 * - no command reads what a later one writes, and
 * - all that write it could have run up to any point before: they replace it
 *   first, or else they are of one type, so that either all of them fail or
 *   none, and treat each element by itself, and it expires last.
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
    // The reason against it alone says more than one against all of them.
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
  `${reader} reads what ${writer} writes after it, and a second run would read that`;

/** Adds a write to what was done to its key before; the reason, if the two must not run twice together. */
function write(past: Past, name: string, touch: Touch): string | undefined {
  // What moves depends on the other key, too.
  if (past.isReplaced && touch.how !== "moves") return undefined;
  if (past.readBy !== undefined) return readBefore(past.readBy, name);
  if (past.writtenBy !== undefined && !mayFollow(past, touch)) {
    return `what ${past.writtenBy} and ${name} do to the same key depends on what was there before`;
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
      past.type = type;
      past.hasTurned ||= past.part !== undefined && past.part !== how;
      past.part = how;
  }
  return undefined;
}

/** Whether a write may follow others of the same key, each of which may have run before. */
function mayFollow(past: Past, { how, type }: Touch): boolean {
  switch (how) {
    case "expires":
      // A time that is over deletes: what expires it on a condition depends on this.
      return past.altered !== "expiry";
    case "adds":
    case "removes":
      return past.altered === undefined && !past.isExpired &&
        (past.type ?? type) === type &&
        // Where adding and removing alternate more than once, the second run may
        // remove the last element in between: the key would lose its expiry.
        !(past.hasTurned && past.part !== how);
    default:
      return false;
  }
}
