// Every command of the server, sent or routed: one reply each, and a connection left as it was.

import "../../support/strict.ts";

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { deadline } from "@std/async/deadline";
import { keysOf } from "../../../client/commands/keys.ts";
import { routeOf } from "../../../client/commands/routing.ts";
import { NO_ROW, rowOf } from "../../../client/commands/table.ts";
import { Redis } from "../../../mod.ts";
import { ReplyError } from "../../../resp/errors.ts";
import type { Command, Reply } from "../../../resp/types.ts";
import { Conversation } from "../../support/conversation.ts";
import {
  commandsOf,
  type Described,
  KEY_FORMS,
  numbered,
  typed,
} from "./server_commands.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";
import { freePort } from "../../support/free_port.ts";

/** What stands in the place of arguments: a name, a number, a switch. */
const FILLERS = ["k", "1", "ON"];

/** Forms of commands that the fillers do not reach. */
const FORMS = [
  "ACL SETUSER k on nopass",
  "CLIENT KILL TYPE pubsub",
  "CLIENT PAUSE 1 WRITE",
  "CLIENT TRACKING OFF",
  "CLIENT REPLY ON",
  "CLIENT REPLY OFF",
  "CLIENT REPLY SKIP",
  "CLIENT TRACKING ON",
  "CLIENT CAPA redirect",
  "CLIENT IMPORT-SOURCE ON",
  "CLIENT SETINFO lib-name k",
  "CLIENT CACHING YES",
  "CLUSTER SYNCSLOTS CAPA eof",
  "CLUSTER SYNCSLOTS ACK",
  "CLUSTER SYNCSLOTS FINISH",
  "CLUSTER SYNCSLOTS SNAPSHOT-EOF",
  "CLUSTER SYNCSLOTS ESTABLISH SOURCE k",
  "DEBUG SLEEP 0",
  "DEBUG PROTOCOL attrib",
  "DEBUG PROTOCOL push",
  "DEBUG PROTOCOL map",
  "DEBUG PROTOCOL verbatim",
  "DEBUG HELP",
  "DEBUG DIGEST",
  "DEBUG REPLICATE 1 SET k v",
  "EVAL return{1,2} 0",
  "EVAL return(redis.call('SELECT',1)) 0",
  "HELLO 2 SETNAME k",
  "HELLO 3",
  "PFDEBUG ENCODING k",
  "PFDEBUG GETREG k",
  "PFDEBUG DECODE k",
  "PSYNC ? -1",
  "REPLCONF",
  "REPLCONF ACK 0",
  "REPLCONF GETACK *",
  "REPLCONF capa eof",
  "REPLCONF rdb-channel 1",
  "REPLCONF listening-port 1",
  "REPLICAOF NO ONE",
  "SCRIPT DEBUG YES",
  "SHUTDOWN NOSAVE",
  "XREAD STREAMS k 0",
  "XREADGROUP GROUP g c STREAMS k >",
];

function* formsOf({ name, words }: Described): Generator<string> {
  const missing = Math.max(0, words - name.split(" ").length);
  for (const filler of FILLERS) {
    yield name + ` ${filler}`.repeat(missing);
    yield name + ` ${filler}`.repeat(missing + 1);
  }
}

/** Fields of CLIENT INFO that change by themselves. */
const OF_THE_MOMENT = new Set(
  ("age idle qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll omem tot-mem " +
    "events cmd tot-net-in tot-net-out tot-cmds io-thread").split(" "),
);

const stateOf = (info: Reply): string =>
  `${info}`.trim().split(" ")
    .filter((field) => !OF_THE_MOMENT.has(field.split("=")[0]!)).join(" ");

/** A command that is not answered within this time counts as unanswered. */
const REPLY_MS = 5000;

/** What is wrong with a command on a connection that others share; `undefined` if nothing is. */
async function faultOf(
  redis: Conversation,
  command: Command,
): Promise<string | undefined> {
  const INFO: Command = ["CLIENT", "INFO"];
  const MARK: Command = ["ECHO", "the next reply"];
  try {
    const [before, , mark, after] = await deadline(
      redis.askAll([INFO, command, MARK, INFO]),
      REPLY_MS,
    );
    if (mark !== MARK[1]) return "it has more than one reply";
    const [was, is] = [stateOf(before!), stateOf(after!)];
    return is === was ? undefined : `${was} has become ${is}`;
  } catch (error) {
    return `${error}`;
  }
}

async function faultsOf(server: RedisServer): Promise<string[]> {
  let redis = await Conversation.open(server.port);
  const faults: string[] = [];
  const lines = new Set(FORMS);
  for (const each of await commandsOf(redis)) {
    for (const form of formsOf(each)) lines.add(form);
  }
  assert(lines.size > 1500, `${lines.size}`);
  for (const command of [...lines].map(typed)) {
    if (routeOf(command).kind !== "shared") continue;
    const fault = await faultOf(redis, command);
    // A server that has become a replica would wait for its primary.
    if (/^(REPLICA|SLAVE)OF$/.test(command[0])) {
      await redis.askAll([["REPLICAOF", "NO", "ONE"]]);
    }
    if (fault === undefined) continue;
    faults.push(`${command.join(" ")}: ${fault}`);
    redis[Symbol.dispose]();
    redis = await Conversation.open(server.port);
  }
  redis[Symbol.dispose]();
  return faults;
}

for (const mode of ["alone", "as a node of a cluster"]) {
  Deno.test(`Every command that is shared is answered once and changes nothing of its connection, on a server ${mode}`, async () => {
    const config = { "enable-debug-command": "yes" };
    await using server = await startRedis({
      config: mode === "alone" ? config : {
        ...config,
        "cluster-enabled": "yes",
        "cluster-port": freePort(), // the default may be above 65535
      },
    });
    assertEquals(await faultsOf(server), []);
  });
}

Deno.test("Every command of the server has a row, and every subcommand one of its own", async () => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  const commands = await commandsOf(redis);
  const missing = commands.map(({ name }) => name).filter((name) => {
    const command = typed(name);
    return rowOf(command) === NO_ROW ||
      command.length > 1 && rowOf(command) === rowOf([command[0]]);
  });
  assertEquals(missing, []);
});

Deno.test("The keys of every command are those that the server finds", async () => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  const commands = await commandsOf(redis);
  const known = new Set(commands.map(({ name }) => name));
  const lines = KEY_FORMS.filter((line) => known.has(line.split(" ")[0]!));
  const found = new Set<string>();
  for (const line of [...lines, ...commands.flatMap(numbered)]) {
    const command = typed(line);
    const [keys] = await redis.askAll([["COMMAND", "GETKEYS", ...command]]);
    const isNone = keys instanceof ReplyError &&
      /no key arguments/.test(keys.message);
    // With wrong arguments there is nothing to compare.
    if (keys instanceof ReplyError && !isNone) {
      assert(!lines.includes(line), `${line}: ${keys}`);
      continue;
    }
    // Not keys for the server, though their hash slot counts.
    if (/^(?:SPUBLISH|S(?:UN)?SUBSCRIBE|CLUSTERSCAN)$/.test(command[0])) {
      continue;
    }
    const expected = isNone ? [] : (keys as string[]).toSorted();
    assertEquals(keysOf(command).toSorted(), expected, line);
    if (expected.length === 0) continue;
    found.add(command[0]);
    if (command.length > 1) found.add(`${command[0]} ${command[1]}`);
  }
  const unseen = commands.filter(({ name, hasKeys }) =>
    hasKeys && !found.has(name)
  ).map(({ name }) => name);
  assertEquals(unseen, []);
});

/** A form of each blocking command that blocks, for 2 seconds. */
const BLOCKING: Readonly<Record<string, string>> = {
  BLPOP: "BLPOP k 2",
  BRPOP: "BRPOP k 2",
  BRPOPLPUSH: "BRPOPLPUSH k other 2",
  BLMOVE: "BLMOVE k other LEFT RIGHT 2",
  BLMOVEM: "BLMOVEM k other LEFT RIGHT 2",
  BLMPOP: "BLMPOP 2 1 k LEFT",
  BZPOPMIN: "BZPOPMIN k 2",
  BZPOPMAX: "BZPOPMAX k 2",
  BZMPOP: "BZMPOP 2 1 k MIN",
  XREAD: "XREAD BLOCK 2000 STREAMS k $",
  XREADGROUP: "XREADGROUP GROUP g c BLOCK 2000 STREAMS k >",
  WAIT: "WAIT 1 2000",
  WAITAOF: "WAITAOF 0 1 2000",
  "TS.READ": "TS.READ k $ BLOCK 2000 1",
};

Deno.test("Every command that the server calls blocking is never shared when it blocks, and has its time", async () => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  const blocking = (await commandsOf(redis))
    .filter(({ flags }) => flags.includes("blocking"))
    .map(({ name }) => name);
  assert(blocking.length >= 10, `${blocking}`);
  for (const name of blocking) {
    const line = BLOCKING[name];
    assert(line !== undefined, `${name} blocks, and has no row here`);
    const route = routeOf(typed(line));
    assert("extraReplyTimeoutMs" in route, `${line}: ${route.kind}`);
    assertEquals(route.extraReplyTimeoutMs, 2000, line);
  }
});

Deno.test("A command that is not answered by exactly one reply reaches no connection, shared or leased", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 1 });
  const lines = [
    "REPLCONF ACK 0",
    "replconf getack *",
    "PSYNC ? -1",
    "SYNC",
    "MONITOR",
    "SUBSCRIBE a b",
    "CLUSTER SYNCSLOTS CAPA eof",
    "HELLO 3",
  ].map(typed);
  for (const command of lines) {
    const error = await assertRejects(() => redis.send(command), TypeError);
    assertStringIncludes(error.message, `Cannot send ${command[0]}`);
    await assertRejects(() => redis.pipeline([command]), TypeError);
  }
  {
    await using lease = await redis.lease();
    for (const command of lines) {
      await assertRejects(() => lease.send(command), TypeError, "Cannot send");
    }
    assertEquals(await lease.send(["ECHO", "mine"]), "mine");
  }
  assertEquals(await redis.send(["ECHO", "next"]), "next");
  assertEquals(redis.stats().dialed, 1);
});

Deno.test("A lease whose connection was changed is not given to others", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 1 });
  const lines = [
    "HELLO 2 SETNAME me",
    "CLIENT NO-EVICT ON",
    "CLIENT CAPA redirect",
    "CLIENT IMPORT-SOURCE ON",
    "HIMPORT PREPARE fields a b",
    "SELECT 1",
  ];
  for (const [i, line] of lines.entries()) {
    await using lease = await redis.lease();
    // A server that does not know it refuses it.
    await lease.send(typed(line)).catch(() => {});
    assertEquals(redis.stats().dialed, i + 1, line);
  }
});
