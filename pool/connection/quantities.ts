// Numbers of things and lengths of time, as text.

/**
 * A number and its noun: `1 reply`, `2 replies`.
 *
 * @param n The number.
 * @param noun The noun in the singular.
 * @param plural The noun in the plural. @default {the noun and an "s"}
 */
export const count = (
  n: number,
  noun: string,
  plural: string = `${noun}s`,
): string => `${n} ${n === 1 ? noun : plural}`;

/**
 * A length of time: `850 ms`, `1.2 s`, `350 s`, `5 min`, `2 h 5 min`. Idle
 * limits are usually given in seconds, so seconds are used up to ten minutes.
 *
 * @param ms The time in milliseconds.
 */
export function duration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 599_500 && ms % 60_000 !== 0) return seconds(ms);
  const minutes = Math.round(ms / 60_000);
  if (minutes < 120) return `${minutes} min`;
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  return rest === 0 ? `${hours} h` : `${hours} h ${rest} min`;
}

/**
 * A length of time in seconds, to be compared with a limit: `1.2 s`, `3600 s`.
 *
 * @param ms The time in milliseconds.
 */
export const seconds = (ms: number): string =>
  `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`;

/**
 * A length of time to a tenth of a second: `850 ms`, `301.2 s`. In a close
 * report times are compared with each other, so they are not rounded further.
 *
 * @param ms The time in milliseconds.
 */
export const preciseDuration = (ms: number): string =>
  ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
