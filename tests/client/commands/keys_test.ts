// Which arguments of a command are keys, where no server that the tests run on has the last word.

import "../../support/strict.ts";
import { assertEquals, assertStrictEquals } from "@std/assert";
import { keysOf } from "../../../client/commands/keys.ts";
import type { Command } from "../../../resp/types.ts";

/** A command as one types it. */
const typed = (line: string): Command => line.split(" ") as unknown as Command;

const utf8 = new TextEncoder();

/** Commands, and their keys in order. */
const KEYS: readonly [line: string, keys: string][] = [
  ["GET k", "k"],
  ["SET k v EX 5", "k"],
  ["MSET a 1 b 2", "a b"],
  ["DEL a b c", "a b c"],
  ["BLPOP a b 0", "a b"],
  ["OBJECT ENCODING k", "k"],
  ["XGROUP CREATE k g 0", "k"],
  ["ZUNIONSTORE d 2 a b WEIGHTS 1 2", "d a b"],
  ["EVAL script 2 a b c", "a b"],
  ["EVAL script 0 a", ""],
  ["EVAL script -1 a", ""],
  ["EVAL script many a", ""],
  ["XREADGROUP GROUP STREAMS STREAMS COUNT 1 STREAMS a b > >", "a b"],
  ["XREAD COUNT 1", ""],
  ["SORT a BY STORE STORE d", "a d"],
  ["SORT a STORE", "a"],
  ["GEORADIUS a 1 2 3 km STORE d", "a d"],
  ["MIGRATE host 1 k 0 9", "k"],
  ["PING", ""],
  ["CLIENT KILL ID 5", ""],
  ["PUBLISH channel message", ""],
  ["NO-SUCH-COMMAND k", ""],
  // A hash slot is made from these as well.
  ["SPUBLISH channel message", "channel"],
  ["SSUBSCRIBE a b", "a b"],
  ["CLUSTERSCAN 0-{tag}-5", "0-{tag}-5"],
  // Of servers that are newer than those of the tests.
  ["DELEX k IFEQ v", "k"],
  ["INCREX k BYINT 1", "k"],
  ["LMOVEM a b LEFT RIGHT COUNT 2 OBO", "a b"],
  ["BLMOVEM a b LEFT RIGHT 0 COUNT 2 OBO", "a b"],
  ["SUNIONCARD 2 a b", "a b"],
  ["SDIFFCARD 1 a", "a"],
  ["HIMPORT SET k fieldset 1 2", "k"],
  ["HIMPORT PREPARE fieldset a b", ""],
  ["XACKDEL k g IDS 1 1-1", "k"],
  ["ARSET k 0 v", "k"],
  ["BZMOVE a b MIN 5", "a b"],
  ["ZMOVE a b MIN", "a b"],
  ["SEXPIRE k 5 MEMBERS 1 m", "k"],
  ["BLESS SET k NO-EVICT", "k"],
];

Deno.test("The keys of a command are found in whatever case it is written, as text or as bytes", () => {
  for (const [line, expected] of KEYS) {
    const keys = expected === "" ? [] : expected.split(" ");
    const [name, ...rest] = typed(line);
    assertEquals(keysOf([name, ...rest]), keys, line);
    assertEquals(keysOf([name.toLowerCase(), ...rest]), keys, line);
    const bytes = rest.map((argument) => utf8.encode(`${argument}`));
    assertEquals(
      keysOf([name, ...bytes]),
      keys.map((key) => utf8.encode(key)),
      line,
    );
  }
});

Deno.test("Keys are the arguments themselves, whole and as they were given", () => {
  const key = new Uint8Array(5000).fill(7);
  assertStrictEquals(keysOf(["GET", key])[0], key);
  assertEquals(keysOf(["MGET", 5, 6n]), [5, 6n]);
  const long = "k".repeat(5000);
  assertEquals(keysOf(["ZUNIONSTORE", "d", 1, long]), ["d", long]);
});

Deno.test("The keys of a command that lacks its arguments are those that are there", () => {
  for (const [line] of KEYS) {
    const command = typed(line);
    for (let length = 1; length < command.length; length++) {
      const [name, ...rest] = command.slice(0, length) as unknown as Command;
      for (const key of keysOf([name, ...rest])) {
        assertEquals(typeof key, "string", line);
      }
    }
  }
});
