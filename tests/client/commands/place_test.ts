// Which server of a cluster runs a command: by cases, and by what a server says of all its commands.

import "../../support/strict.ts";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { type Place, placeOf } from "../../../client/commands/place.ts";
import { rowOf } from "../../../client/commands/table.ts";
import type { Command } from "../../../resp/types.ts";
import { ReplyError } from "../../../resp/errors.ts";
import { Conversation } from "../../support/conversation.ts";
import { startRedis } from "../../support/redis_server.ts";
import { commandsOf, KEY_FORMS, numbered, typed } from "./server_commands.ts";

const utf8 = new TextEncoder();

/** A place as text: a key, `any`, or why it is refused. */
const inWords = (place: Place): string =>
  place === "any" ? "any" : "key" in place ? `key ${place.key}` : place.why;

const refusal = (name: string): string =>
  `Cannot send ${name} to a cluster: each server answers for itself; use redis.nodes()`;

const PLACES: readonly (readonly [line: string, place: string])[] = [
  ["GET k", "key k"],
  ["SET k v", "key k"],
  ["ZADD k 1 m", "key k"],
  ["MGET a b", "key a"],
  ["MSET a 1 b 2", "key a"],
  ["BLPOP a b 0", "key a"],
  ["SORT a STORE d", "key a"],
  ["ZUNIONSTORE d 2 a b", "key d"],
  ["ZUNION 2 a b", "key a"],
  ["BITOP AND d a b", "key d"],
  ["MEMORY USAGE k", "key k"],
  ["OBJECT ENCODING k", "key k"],
  ["XGROUP CREATE k g 0", "key k"],
  ["XINFO STREAM k", "key k"],
  ["MIGRATE host 1 k 0 9", "key k"],
  ["MIGRATE host 1  0 9 KEYS a b", "key a"],
  ["XREAD COUNT 1 STREAMS a b 0 0", "key a"],
  ["XREADGROUP GROUP STREAMS STREAMS STREAMS a >", "key a"],
  ["BLMPOP 0 2 a b LEFT", "key a"],
  ["EVAL script 1 k v", "key k"],
  ["FCALL f 1 k v", "key k"],
  ["SPUBLISH channel message", "key channel"],
  // The table does not have these.
  ["JSON.GET k $", "key k"],
  ["NO-SUCH-COMMAND k", "key k"],
  ["NO-SUCH-COMMAND", "any"],
  ["OBJECT NO-SUCH-SUBCOMMAND k", "key k"],
  // Any server answers these, and what any server refuses.
  ["EVAL script 0 v", "any"],
  ["EVAL script many k", "any"],
  ["FCALL_RO f 0", "any"],
  ["PING", "any"],
  ["PUBLISH channel message", "any"],
  ["COMMAND", "any"],
  ["COMMAND NO-SUCH-SUBCOMMAND", "any"],
  ["COMMAND GETKEYS GET k", "any"],
  ["CLUSTER SLOTS", "any"],
  ["CLUSTER KEYSLOT k", "any"],
  ["XGROUP HELP", "any"],
  ["CONFIG HELP", "any"],
  ["GET", "any"],
  ["MEMORY USAGE", "any"],
  ["XREAD COUNT 1", "any"],
  // Each server answers these for itself.
  ["DBSIZE", refusal("DBSIZE")],
  ["SCAN 0", refusal("SCAN")],
  ["FLUSHALL", refusal("FLUSHALL")],
  ["INFO all", refusal("INFO")],
  ["CONFIG GET maxmemory", refusal("CONFIG GET")],
  ["CONFIG NO-SUCH-SUBCOMMAND secret", refusal("CONFIG")],
  ["SCRIPT LOAD script", refusal("SCRIPT LOAD")],
  ["CLUSTER RESET", refusal("CLUSTER RESET")],
  ["MEMORY DOCTOR", refusal("MEMORY DOCTOR")],
  ["WAIT 1 5", refusal("WAIT")],
];

Deno.test("A command goes to the server of its first key, to any server, or is refused with what to do", () => {
  for (const [line, place] of PLACES) {
    const [name, ...rest] = typed(line);
    for (const spelled of [name, name.toLowerCase()]) {
      const command: Command = [spelled, ...rest];
      assertEquals(inWords(placeOf(command)), place, line); // from the table
      assertEquals(inWords(placeOf(command)), place, line); // as it was seen before
    }
  }
});

Deno.test("The key is the argument itself, whatever it is", () => {
  const key = utf8.encode("k");
  for (
    const command of [["GET", key], ["FT.ADD", key], ["EVAL", "s", 1, key]]
  ) {
    const place = placeOf(command as unknown as Command);
    assert(place !== "any" && "key" in place);
    assertStrictEquals(place.key, key);
  }
  assertEquals(placeOf(["INCR", 0]), { key: 0 });
  assertEquals(placeOf(["INCR", ""]), { key: "" });
  const words = ["XREAD", "STREAMS", key, "0"].map((word) =>
    typeof word === "string" && word !== "XREAD" ? utf8.encode(word) : word
  );
  assertEquals(placeOf(words as unknown as Command), { key });
});

Deno.test("Names without end take bounded memory and are told apart", () => {
  for (let i = 0; i < 3000; i++) {
    assertEquals(placeOf([`no-such-${i}`, "k"]), { key: "k" });
  }
  assertEquals(placeOf(["hset", "k"]), { key: "k" });
  assertEquals(inWords(placeOf(["dbsize"])), refusal("DBSIZE"));
  assertEquals(placeOf(["constructor"]), "any");
  assertEquals(placeOf(["__proto__", "k"]), { key: "k" });
});

/** The commands without keys that any server can answer for all of them, in all versions. */
const ANY_SERVER: ReadonlySet<string> = new Set([
  "ACL CAT",
  "ACL GENPASS",
  "CLUSTER INFO",
  "CLUSTER KEYSLOT",
  "CLUSTER NODES",
  "CLUSTER REPLICAS",
  "CLUSTER SHARDS",
  "CLUSTER SLAVES",
  "CLUSTER SLOTS",
  "COMMAND",
  "COMMAND COUNT",
  "COMMAND DOCS",
  "COMMAND GETKEYS",
  "COMMAND GETKEYSANDFLAGS",
  "COMMAND INFO",
  "COMMAND LIST",
  "ECHO",
  "LOLWUT",
  "PING",
  "PUBLISH",
  "TIME",
]);

/** These have a hash slot, though the server does not call it that of a key. */
const LIKE_KEYS = /^(?:SPUBLISH|S(?:UN)?SUBSCRIBE|CLUSTERSCAN)$/;

/** What the server advises for a command that one server alone cannot answer. */
const OF_SEVERAL = /^request_policy:(?:all_nodes|all_shards|special)$/;

Deno.test("Of every command without keys it is known whether any server answers it or each for itself", async () => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  const commands = await commandsOf(redis);
  let refused = 0;
  for (const { name, hasKeys, tips } of commands) {
    const command = typed(name);
    const [, subcommand] = command;
    if (hasKeys || LIKE_KEYS.test(name)) continue;
    const isContainer = rowOf(command).subcommands !== undefined;
    if (/^(?:OBJECT|XGROUP|XINFO)$/.test(name)) continue; // nothing without a subcommand
    const expected = ANY_SERVER.has(name) || subcommand === "HELP"
      ? "any"
      : refusal(name);
    assertEquals(inWords(placeOf(command)), expected, name);
    assertEquals(
      inWords(placeOf([name.split(" ")[0]!, ...command.slice(1), "argument"])),
      isContainer && !ANY_SERVER.has(name) ? refusal(name) : expected,
      name,
    );
    if (expected !== "any") refused++;
    else if (name !== "PING") { // by its tips it is for all shards
      assertEquals(tips.filter((tip) => OF_SEVERAL.test(tip)), [], name);
    }
  }
  assert(refused > 100, `${refused}`);
});

Deno.test("Every command with keys goes to the server of one of those that the server finds", async () => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  const commands = await commandsOf(redis);
  const known = new Set(commands.map(({ name }) => name));
  const lines = [
    ...KEY_FORMS.filter((line) => known.has(line.split(" ")[0]!)),
    ...commands.filter(({ hasKeys }) => hasKeys).flatMap(numbered),
  ].map(typed);
  const replies = await redis.askAll(
    lines.map((command) => ["COMMAND", "GETKEYS", ...command]),
  );
  let compared = 0;
  for (const [i, command] of lines.entries()) {
    const keys = replies[i];
    const line = command.join(" ");
    const place = placeOf(command);
    const isNone = keys instanceof ReplyError &&
      /no key arguments/.test(keys.message);
    // With wrong arguments there is nothing to compare: each server refuses it.
    if (keys instanceof ReplyError && !isNone) continue;
    if (isNone || (keys as string[]).length === 0) {
      assertEquals(place, "any", line);
      continue;
    }
    assert(place !== "any" && "key" in place, line);
    assert((keys as string[]).includes(`${place.key}`), line);
    compared++;
  }
  assert(compared > 500, `${compared}`);
});
