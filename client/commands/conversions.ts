/**
 * Makes records, pairs and numbers of replies: what the type of a reply cannot
 * do, since Redis answers a map as one flat array, and a decimal number as text.
 *
 * @example A hash, and members with their scores
 * ```ts
 * import { Redis } from "@unzombie/redis";
 * import { asNumber, asPairs, asRecord } from "@unzombie/redis/replies";
 * import { assertEquals } from "@std/assert";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await redis.send(["HSET", "doc-hash", "name", "Ann", "visits", 3]);
 * const hash = asRecord(await redis.send(["HGETALL", "doc-hash"]));
 * assertEquals(hash.name, "Ann");
 *
 * await redis.send(["ZADD", "doc-scores", 1.5, "a", "inf", "b"]);
 * const flat = await redis.send(["ZRANGE", "doc-scores", 0, -1, "WITHSCORES"]);
 * const scores = asPairs(flat).map(([, score]) => asNumber(score));
 * assertEquals(scores, [1.5, Infinity]);
 * await redis.send(["DEL", "doc-hash", "doc-scores"]);
 * ```
 *
 * @module
 */
import type { Reply } from "../../resp/types.ts";

/** What the arrays among replies hold. */
export type ElementOf<R> = R extends readonly (infer Element)[] ? Element
  : never;

/**
 * Makes a record of a flat array of names and values, such as the reply to
 * HGETALL or CONFIG GET.
 *
 * The record has no prototype: a field may be named `__proto__`, and one that
 * is not there is `undefined`, whatever its name is.
 *
 * @example A hash
 * ```ts
 * import { asRecord } from "@unzombie/redis/replies";
 * import { assertEquals } from "@std/assert";
 *
 * const record = asRecord(["name", "Ann", "city", "Oslo"]);
 * assertEquals(record, { name: "Ann", city: "Oslo" });
 * assertEquals(record.toString, undefined);
 * ```
 *
 * @param reply Names and values in turn. Names may be bytes, which are read as UTF-8.
 * @returns The values by their names. Of two values of the same name the later one counts.
 * @throws {TypeError} If the reply is no such array, or a name is not UTF-8.
 */
export function asRecord<R extends Reply | readonly Reply[]>(
  reply: R,
): Record<string, ElementOf<R>> {
  const record: Record<string, ElementOf<R>> = Object.create(null);
  for (const [name, value] of pairsOf(reply, "a record")) {
    record[nameOf(name as Reply)] = value;
  }
  return record;
}

/**
 * Makes pairs of a flat array, such as the reply to ZRANGE with WITHSCORES or
 * to HRANDFIELD with WITHVALUES. Their order is kept.
 *
 * @example Members and scores
 * ```ts
 * import { asPairs } from "@unzombie/redis/replies";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(asPairs(["a", "1", "b", "2"]), [["a", "1"], ["b", "2"]]);
 * ```
 *
 * @param reply The first and the second of each pair in turn.
 * @returns The pairs.
 * @throws {TypeError} If the reply is no array of an even length.
 */
export function asPairs<R extends Reply | readonly Reply[]>(
  reply: R,
): [ElementOf<R>, ElementOf<R>][] {
  return pairsOf(reply, "pairs");
}

/**
 * Makes a number of a reply: of an integer, or of decimal text such as that of
 * ZSCORE, INCRBYFLOAT or TIME.
 *
 * @example A score
 * ```ts
 * import { asNumber } from "@unzombie/redis/replies";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(asNumber("1.5"), 1.5);
 * assertEquals(asNumber("-inf"), -Infinity);
 * assertThrows(() => asNumber("many"), TypeError, 'got "many"');
 * assertThrows(() => asNumber(null), TypeError, "got null");
 * ```
 *
 * @param reply A number, a bigint, or a number as text or as bytes.
 * @returns The number; the nearest one to an integer beyond 2^53 - 1.
 * @throws {TypeError} If the reply is no number: `null`, empty or other text, an array, an error.
 */
export function asNumber(reply: Reply): number {
  const value = reply instanceof Uint8Array ? decoder.decode(reply) : reply;
  switch (typeof value) {
    case "number":
      return value;
    case "bigint":
      return Number(value);
    case "string":
      if (DECIMAL.test(value)) return Number(value);
      if (INFINITE.test(value)) {
        return value.startsWith("-") ? -Infinity : Infinity;
      }
  }
  throw wrong("a number", reply);
}

const DECIMAL = /^[+-]?\d+(?:\.\d*)?(?:e[+-]?\d+)?$/i;
const INFINITE = /^[+-]?inf(?:inity)?$/i;
/** More of a text is not shown. */
const SHOWN_LENGTH = 40;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
/** Two names must not become the same by what replaces bytes that are not UTF-8. */
const strictDecoder = new TextDecoder("utf-8", {
  ignoreBOM: true,
  fatal: true,
});

function pairsOf<R extends Reply | readonly Reply[]>(
  reply: R,
  goal: string,
): [ElementOf<R>, ElementOf<R>][] {
  if (!Array.isArray(reply)) {
    throw wrong(goal, reply, "expected an array");
  }
  if (reply.length % 2 !== 0) {
    throw wrong(goal, reply, "expected an even number of elements");
  }
  const elements = reply as ElementOf<R>[];
  const pairs: [ElementOf<R>, ElementOf<R>][] = [];
  for (let i = 0; i < elements.length; i += 2) {
    pairs.push([elements[i]!, elements[i + 1]!]);
  }
  return pairs;
}

function nameOf(name: Reply): string {
  if (typeof name === "string") return name;
  if (!(name instanceof Uint8Array)) {
    throw wrong("a record", name, "expected a name");
  }
  try {
    return strictDecoder.decode(name);
  } catch {
    throw wrong("a record", name, "expected a name in UTF-8");
  }
}

function wrong(
  goal: string,
  got: Reply | readonly Reply[],
  expected?: string,
): TypeError {
  const what = [expected, `got ${shown(got)}`].filter(Boolean).join(", ");
  const cause = got instanceof Error ? { cause: got } : {};
  return new TypeError(`Cannot make ${goal} of a reply: ${what}`, cause);
}

/** What an error says of a reply. */
function shown(reply: Reply | readonly Reply[]): string {
  if (typeof reply === "string") return quoted(reply);
  if (reply instanceof Uint8Array) {
    return `bytes ${quoted(decoder.decode(reply))}`;
  }
  if (reply instanceof Error) return `an error: ${reply.message}`;
  if (Array.isArray(reply)) return `an array of ${reply.length}`;
  return `${reply}`;
}

const quoted = (text: string): string =>
  text.length > SHOWN_LENGTH
    ? `${JSON.stringify(text.slice(0, SHOWN_LENGTH))}...`
    : JSON.stringify(text);
