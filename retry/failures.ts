// The failures of several attempts as text, alike ones once.

/** Such as "1 retry" or "3 retries". */
export const count = (n: number, one: string, several: string): string =>
  `${n} ${n === 1 ? one : several}`;

/** The message of an error, or what was thrown instead as text. Never throws itself. */
export function messageOf(failure: unknown): string {
  try {
    return failure instanceof Error ? failure.message : String(failure);
  } catch { // an object without a text, or with a getter that throws
    return "an error that has no text";
  }
}

/** A number, and the unit of a time. */
const NUMBER = /\d+(?:\.\d+)?(?: m?s\b)?/g;
const SEVERAL = /(?<=# \w+)s\b/g;

/** Alike are failures of one kind whose messages differ in numbers alone, and in the words that follow from those. */
function kindOf(failure: unknown): string {
  const name = failure instanceof Error ? `${failure.name}: ` : "";
  const text = `${name}${messageOf(failure)}`;
  return text.replace(NUMBER, "#").replace(SEVERAL, "");
}

/** Of each stack in a text, as many lines as tell where it happened. */
const MOST_FRAMES = 3;

/** Leaves out the further lines of each stack; the last may open the error's properties. */
function shorten(text: string): string {
  const lines: string[] = [];
  let frames = 0;
  for (const line of text.split("\n")) {
    frames = /^\s+at /.test(line) ? frames + 1 : 0;
    if (frames <= MOST_FRAMES) lines.push(line);
    else if (line.endsWith(" {")) lines[lines.length - 1] += " {";
  }
  return lines.join("\n");
}

/**
 * An error with the failures that it stands for, as text to be printed.
 *
 * @param error The error.
 * @param failures What its attempts failed with, in order.
 * @param inspect Makes the text of a failure.
 */
export function describeFailures(
  error: Error,
  failures: readonly unknown[],
  inspect: (failure: unknown) => string,
): string {
  const alike = new Map<string, unknown[]>();
  for (const failure of failures) {
    const kind = kindOf(failure);
    alike.set(kind, [...alike.get(kind) ?? [], failure]);
  }
  const parts = [...alike.values()].map((group) => {
    const last = group[group.length - 1];
    const times = count(group.length, "attempt", "attempts");
    return `${times} failed with ${shorten(inspect(last))}`
      .replaceAll("\n", "\n  ");
  });
  return [error.stack ?? `${error}`, ...parts].join("\n  ");
}
