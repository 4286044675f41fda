// What a second run of a command would do: the harm in words, or the keys that it touches.
import type { Effect, EffectRule, How, Touch } from "./row.ts";
import { hasOption, numberOf, optionOf, type Words } from "./words.ts";

export const ADDS = "a second run would add again";
export const TAKES = "a second run would take further elements";
export const REFUSES =
  "a second run would report failure although the first one succeeded";
export const LOSES = "a second run would no longer return the old value";
export const ERASES =
  "a second run would delete what was written after the first one";
export const SWAPS = "a second run would undo the first one";
export const DELIVERS =
  "a second run would count another delivery, and skip the messages that the first one returned";
export const UNKNOWN =
  "this client does not know whether it is safe to run twice";
const RESULT = "a second run would start from the result of the first one";
const REMOVES = "a second run would remove other elements";

/** Stands for the keys of a command that reads more than its words name. */
export const EVERYTHING = "\0everything";

const touch = (how: How, key = "", type = ""): Touch => ({ how, key, type });

const each = (how: How, type = ""): EffectRule => (_, keys) =>
  keys.map((key) => touch(how, key, type));

export const reads = each("reads");
export const replaces = each("replaces");
export const expires = each("expires");
export const alters = each("alters");
export const moves = each("moves");
export const adds = (type: string): EffectRule => each("adds", type);
export const removes = (type: string): EffectRule => each("removes", type);
export const filters = (type: string): EffectRule => each("filters", type);

export const readsNothing: Effect = [];
export const readsEverything: Effect = [touch("reads", EVERYTHING)];

// What a server has beside its keys has names that no key should have.
export const readsConfig: Effect = [touch("reads", "\0config")];
export const setsConfig: Effect = [touch("adds", "\0config")];
export const readsScripts: Effect = [touch("reads", "\0scripts")];
export const loadsScript: Effect = [touch("adds", "\0scripts")];
export const readsFunctions: Effect = [touch("reads", "\0functions")];

/** With REPLACE a library is the same after a second run; without it that is refused. */
export const loadsLibrary = (words: Words): Effect =>
  optionOf(words[2]) === "REPLACE" ? [touch("alters", "\0functions")] : REFUSES;

/** Stores in the first key what is made from the others: harmful if it is one of them. */
export const stores = (_: Words, [destination, ...sources]: Words): Effect =>
  destination !== undefined && sources.includes(destination) ? RESULT : [
    ...sources.map((source) => touch("reads", source)),
    touch("stores", destination),
  ];

/** Reads the first key, and stores the result in the second one if there is one. */
export const storesIfAsked = (_: Words, [source, destination]: Words): Effect =>
  destination === undefined
    ? [touch("reads", source)]
    : stores(_, [destination, source ?? ""]);

/** BY and GET of SORT read keys that they make from elements. */
export const sorts = (words: Words, keys: Words): Effect => {
  const effect = storesIfAsked(words, keys);
  return typeof effect === "string" ? effect : [...readsEverything, ...effect];
};

/** PFMERGE destination source ... */
export const merges = (_: Words, [destination, ...sources]: Words): Effect => [
  ...sources.map((source) => touch("reads", source)),
  touch("adds", destination, "log"),
];

/** COPY source destination [DB database] [REPLACE] */
export const copies = (words: Words, [source, destination]: Words): Effect => [
  touch("reads", source),
  touch(hasOption(words, 3, "REPLACE") ? "stores" : "alters", destination),
];

/** SET key value [NX | XX | IFEQ ...] [GET] [EX ... | KEEPTTL] */
export const sets = (words: Words, [key]: Words): Effect => {
  if (hasOption(words, 3, "NX", "IFEQ", "IFNE", "IFDEQ", "IFDNE")) {
    return REFUSES;
  }
  if (hasOption(words, 3, "GET")) return LOSES;
  const depends = hasOption(words, 3, "XX", "KEEPTTL");
  return [touch(depends ? "alters" : "replaces", key)];
};

/** MSETEX count key value [key value ...] [NX | XX] [EX ... | KEEPTTL] */
export const setsMany = (words: Words, keys: Words): Effect => {
  if (keys.length === 0) return UNKNOWN;
  const from = 2 + 2 * keys.length;
  if (hasOption(words, from, "NX")) return REFUSES;
  const depends = hasOption(words, from, "XX", "KEEPTTL");
  return keys.map((key) => touch(depends ? "alters" : "replaces", key));
};

/** GETEX key [EX ... | PERSIST]: a time in the past deletes the value. */
export const getsAndExpires = (words: Words, [key]: Words): Effect =>
  hasOption(words, 2, "EXAT", "PXAT")
    ? LOSES
    : [touch(words.length > 2 ? "alters" : "reads", key, "expiry")];

/** A time in the past deletes the key. */
const isOver = ([name = "", , time]: Words): boolean => {
  const ms = Number(time) * (name.startsWith("P") ? 1 : 1000);
  return !(ms > (name.endsWith("AT") ? Date.now() : 0));
};

/** EXPIRE key time [NX | XX | GT | LT], and its siblings */
export const setsExpiry = (words: Words, [key]: Words): Effect => {
  if (hasOption(words, 3, "NX")) return REFUSES;
  const depends = hasOption(words, 3, "XX", "GT", "LT") || isOver(words);
  return [touch(depends ? "alters" : "expires", key, "expiry")];
};

/** The words between the key of a hash and FIELDS: where the options are. */
const beforeFields = (words: Words): Words => {
  const end = words.findIndex((word, i) =>
    i > 1 && optionOf(word) === "FIELDS"
  );
  return words.slice(2, end < 0 ? undefined : end);
};

/** HEXPIRE key time [NX | XX | GT | LT] FIELDS ...: a field that has expired is removed. */
export const expiresFields = (words: Words, [key]: Words): Effect => {
  const options = beforeFields(words);
  if (hasOption(options, 1, "NX")) return REFUSES;
  const depends = hasOption(options, 1, "XX", "GT", "LT");
  return [touch(depends ? "alters" : "removes", key, "hash")];
};

/** HSETEX key [FNX | FXX] [EX ... | KEEPTTL] FIELDS ... */
export const setsFields = (words: Words, [key]: Words): Effect => {
  const options = beforeFields(words);
  if (hasOption(options, 0, "NX", "FNX")) return REFUSES;
  const depends = hasOption(
    options,
    0,
    "XX",
    "FXX",
    "KEEPTTL",
    "EXAT",
    "PXAT",
  );
  return [touch(depends ? "alters" : "adds", key, "hash")];
};

/** HGETEX key [EX ... | PERSIST] FIELDS ... */
export const getsFields = (words: Words, [key]: Words): Effect =>
  hasOption(beforeFields(words), 0, "EXAT", "PXAT")
    ? LOSES
    : [touch("alters", key, "hash")];

/** ZADD and GEOADD: their options are between the key and the first score. */
export const addsScored = (words: Words, [key]: Words): Effect => {
  const options = new Set<string>();
  for (const word of words.slice(2)) {
    const option = optionOf(word);
    if (!["NX", "XX", "GT", "LT", "CH", "INCR"].includes(option)) break;
    options.add(option);
  }
  if (options.has("INCR")) return ADDS;
  options.delete("CH");
  return [touch(options.size > 0 ? "alters" : "adds", key, "zset")];
};

/** LREM key count element: 0 removes all that are equal. */
export const removesEqual = (words: Words, [key]: Words): Effect =>
  numberOf(words[2]) === 0 ? [touch("alters", key)] : REMOVES;

/** BITFIELD key [GET ... | SET ... | INCRBY ...] ... */
export const fieldsOfBits = (words: Words, [key]: Words): Effect =>
  hasOption(words, 2, "INCRBY")
    ? ADDS
    : hasOption(words, 2, "SET")
    ? LOSES
    : [touch("reads", key)];

/** XTRIM key MAXLEN | MINID ... [LIMIT count] */
export const trims = (words: Words, [key]: Words): Effect =>
  hasOption(words, 2, "LIMIT") ? TAKES : [touch("alters", key)];
