// Where the keys of a command are among its words.
import type { Keys } from "./row.ts";
import { numberOf, optionOf } from "./words.ts";

export const none: Keys = () => [];
export const first: Keys = (words) => words.slice(1, 2);
export const second: Keys = (words) => words.slice(2, 3);
export const firstTwo: Keys = (words) => words.slice(1, 3);
export const all: Keys = (words) => words.slice(1);
export const allButFirst: Keys = (words) => words.slice(2);
export const allButLast: Keys = (words) => words.slice(1, -1);
/** Every other word: keys between values. */
export const everyOther: Keys = (words) => words.filter((_, i) => i % 2 === 1);

/** The number of keys at `at`, then that many keys, a stride apart. */
export const counted = (at: number, stride = 1): Keys => (words) => {
  const count = numberOf(words[at]);
  return count > 0
    ? words.slice(at + 1, at + 1 + count * stride)
      .filter((_, i) => i % stride === 0)
    : [];
};

const countedSources = counted(2);
/** A destination, the number of sources, then the sources. */
export const firstAndCounted: Keys = (words) => [
  ...first(words),
  ...countedSources(words),
];

/** Where the first key of XREAD and XREADGROUP is, behind STREAMS; 0 if there is none. */
export function streamsAt(words: readonly unknown[]): number {
  // A group and its consumer may be named like an option.
  const from = optionOf(words[1]) === "GROUP" ? 4 : 1;
  const at = words.findIndex((word, i) =>
    i >= from && optionOf(word) === "STREAMS"
  );
  return at < 0 ? 0 : at + 1;
}

/** Behind STREAMS: the keys, then as many ids. */
export const streams: Keys = (words) => {
  const at = streamsAt(words);
  return at === 0 ? [] : words.slice(at, at + (words.length - at) / 2);
};

/** The first key, and the destination behind the last of the options `names`. Some options before it take arguments. */
const firstAndOption = (
  from: number,
  names: readonly string[],
  takes: Readonly<Record<string, number>> = {},
): Keys =>
(words) => {
  let destinationAt = 0;
  for (let at = from; at < words.length; at++) {
    const option = optionOf(words[at]);
    if (names.includes(option) && at + 1 < words.length) {
      destinationAt = ++at;
    } else at += takes[option] ?? 0;
  }
  const keys = first(words);
  return destinationAt === 0
    ? keys
    : [...keys, ...words.slice(destinationAt, destinationAt + 1)];
};

/** https://redis.io/docs/latest/commands/sort/ */
export const sorted = firstAndOption(2, ["STORE"], { BY: 1, GET: 1, LIMIT: 2 });
/** https://redis.io/docs/latest/commands/georadius/ */
export const around = firstAndOption(5, ["STORE", "STOREDIST"]);

/** MIGRATE host port key|"" database timeout [... KEYS key ...] */
export const migrated: Keys = (words) => {
  const at = words.findIndex((word, i) => i > 5 && optionOf(word) === "KEYS");
  return at < 0 ? words.slice(3, 4) : words.slice(at + 1);
};
