// That each row of the map of replies is what a real server answers.

import "../../support/strict.ts";

import { assert, assertEquals } from "@std/assert";
import { ReplyError } from "../../../resp/errors.ts";
import type { Command, CommandArgument, Reply } from "../../../resp/types.ts";
import { Conversation } from "../../support/conversation.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";
import { until } from "../../support/wait.ts";
import { CHECKS, NOT_ROWS, NOT_SHOWN, SINCE } from "./reply_checks.ts";
import {
  aliasesOf,
  asTypeScript,
  parseShape,
  partsOf,
  rowsOf,
  type Shape,
  shownBy,
} from "./reply_shape.ts";

const SOURCE = Deno.readTextFileSync(
  new URL("../../../client/commands/replies.ts", import.meta.url),
);
const ROWS = rowsOf(SOURCE);
const ALIASES = aliasesOf(SOURCE);

/** One command of a line of checks. */
interface Step {
  readonly words: readonly string[];
  /** Whether it goes over another connection. */
  readonly isAside: boolean;
  /** Whether its reply is not awaited. */
  readonly isLeft: boolean;
  /** Whether its reply is an error. */
  readonly isRefused: boolean;
}

/** A line of checks. */
interface Line {
  readonly text: string;
  readonly inCluster: boolean;
  /** Whether an older server may refuse the last command. */
  readonly isNewer: boolean;
  readonly steps: readonly Step[];
  /** The name of the row that the last command has. */
  readonly row: string;
}

function lineOf(text: string): Line {
  const [, mark, rest] = /^(\?|cluster: )?(.*)$/.exec(text)!;
  const steps = rest!.split("; ").map((step): Step => {
    const [, marks, command] = /^([@&-]?)(.*)$/.exec(step)!;
    const words = Array.from(
      command!.matchAll(/'([^']*)'|\S+/g),
      ([word, quoted]) => quoted?.replaceAll("\\n", "\n") ?? word,
    );
    return {
      words,
      isAside: marks === "@" || marks === "&",
      isLeft: marks === "&",
      isRefused: marks === "-",
    };
  });
  const [name, subcommand] = steps.at(-1)!.words;
  const two = `${name} ${subcommand}`;
  return {
    text,
    inCluster: mark === "cluster: ",
    isNewer: mark === "?",
    steps,
    row: ROWS.has(two) ? two : name!,
  };
}

const LINES = CHECKS.split("\n").filter((line) => line !== "").map(lineOf);

/** The servers of the checks: one by itself, and a cluster of one primary with its replica. */
class Servers implements AsyncDisposable {
  readonly #alone: RedisServer;
  readonly #stack: AsyncDisposableStack;
  #cluster: Promise<RedisServer> | undefined;

  private constructor(alone: RedisServer, stack: AsyncDisposableStack) {
    this.#alone = alone;
    this.#stack = stack;
  }

  static async start(): Promise<Servers> {
    await using stack = new AsyncDisposableStack();
    const aclfile = await Deno.makeTempFile();
    stack.defer(() => Deno.remove(aclfile));
    const config = { "enable-debug-command": "yes", aclfile };
    const alone = stack.use(await startRedis({ config }));
    return new Servers(alone, stack.move());
  }

  /** Opens a connection to the server by itself, or to the primary of the cluster. */
  async open({ inCluster = false } = {}): Promise<Conversation> {
    const { port } = inCluster ? await this.#primary() : this.#alone;
    return await Conversation.open(port);
  }

  /** A word as it is sent: some stand for the previous reply or for a port. */
  async word(word: string, previous: Reply): Promise<CommandArgument> {
    if (word === "%port") return (await this.#primary()).port;
    if (word === "%addr") {
      const info = new TextDecoder().decode(previous as Uint8Array);
      return / addr=(\S+)/.exec(info)![1]!;
    }
    return word === "%" ? previous as number | Uint8Array : word;
  }

  #primary(): Promise<RedisServer> {
    return this.#cluster ??= this.#startCluster();
  }

  async #startCluster(): Promise<RedisServer> {
    const config = {
      "cluster-enabled": "yes",
      "repl-ping-replica-period": 1,
      "repl-diskless-sync-delay": 0,
    };
    const primary = this.#stack.use(await startRedis({ config }));
    const replica = this.#stack.use(await startRedis({ config }));
    await primary.cli("CLUSTER", "ADDSLOTSRANGE", 0, 16383);
    await replica.cli("CLUSTER", "MEET", primary.hostname, primary.port);
    const id = await primary.cli("CLUSTER", "MYID");
    await until(async () =>
      (await replica.cli("CLUSTER", "NODES")).includes(id)
    );
    await replica.cli("CLUSTER", "REPLICATE", id);
    await until(async () =>
      (await primary.cli("CLUSTER", "INFO")).includes("cluster_state:ok") &&
      (await primary.cli("CLUSTER", "REPLICAS", id)).includes("slave") &&
      (await primary.cli("ROLE")).includes(`${replica.port}`)
    );
    return primary;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** What passes by itself, and is asked again: a script that has not begun, a save that has not ended. */
const PASSES = /^NOTBUSY|in progress|child process/;

async function askPatiently(
  through: Conversation,
  command: Command,
  binary: boolean,
): Promise<Reply> {
  let reply: Reply;
  await until(async () => {
    [reply = null] = await through.askAll([command], { binary });
    return !(reply instanceof ReplyError && PASSES.test(reply.message));
  });
  return reply!;
}

/** The reply to the last command of a line. */
async function replyTo(
  line: Line,
  servers: Servers,
  isBinary: boolean,
): Promise<Reply> {
  using own = await servers.open(line);
  using other = await servers.open(line);
  // A cluster refuses the first.
  await own.askAll([["REPLICAOF", "NO", "ONE"], ["FLUSHALL"]]);
  let reply: Reply = null;
  const left: Promise<Reply>[] = [];
  for (const step of line.steps) {
    const isLast = step === line.steps.at(-1);
    const previous = reply;
    const words = step.words.map((word) => servers.word(word, previous));
    const command = await Promise.all(words) as unknown as Command;
    const through = step.isAside ? other : own;
    if (step.isLeft) {
      left.push(through.ask(...command).catch((error) => error));
      continue;
    }
    reply = await askPatiently(through, command, isBinary || !isLast);
    if (!isLast && step.isRefused !== reply instanceof ReplyError) {
      throw new Error(`${step.words.join(" ")} of ${line.text}: ${reply}`);
    }
  }
  await Promise.all(left);
  return reply;
}

/** What is wrong with a row: replies that do not fit it, and parts of it that none shows. */
async function faultsOf(
  row: string,
  type: string,
  servers: Servers,
): Promise<string[]> {
  const shape = parseShape(type, ALIASES);
  const lines = LINES.filter((line) => line.row === row);
  if (lines.length === 0) return [`${row} has no line of checks`];
  const faults: string[] = [];
  const shown = new Set<Shape>();
  let wasRefused = false;
  for (const line of lines) {
    for (const isBinary of [true, false]) {
      const reply = await replyTo(line, servers, isBinary);
      if (line.isNewer && reply instanceof ReplyError) {
        wasRefused = true;
        continue;
      }
      const parts = shownBy(shape, reply, isBinary);
      if (parts === undefined) {
        faults.push(
          `${row}: ${asTypeScript(shape)} is not ${
            Deno.inspect(reply, { depth: 9, colors: false })
          }${isBinary ? ", with binary" : ""}: ${line.text}`,
        );
      }
      parts?.forEach((part) => shown.add(part));
    }
  }
  if (wasRefused || faults.length > 0) return faults;
  const excused = NOT_SHOWN[row]?.parts ?? [];
  return partsOf(shape)
    .filter((part) => !shown.has(part) && !excused.includes(asTypeScript(part)))
    .map((part) => `${row}: no reply shows ${asTypeScript(part)}`);
}

/** A server's version and the commands and subcommands that it has. */
interface Known {
  readonly program: "redis" | "valkey";
  readonly version: string;
  readonly commands: ReadonlySet<string>;
}

/** @see {@link https://redis.io/docs/latest/commands/command-list/} */
async function knownBy(servers: Servers): Promise<Known> {
  using redis = await servers.open();
  const info = `${await redis.ask("INFO", "server")}`;
  const [, valkey] = /^valkey_version:(\S+)/m.exec(info) ?? [];
  const [, version] = /^redis_version:(\S+)/m.exec(info)!;
  const names = await redis.ask("COMMAND", "LIST") as string[];
  return {
    program: valkey === undefined ? "redis" : "valkey",
    version: valkey ?? version!,
    commands: new Set(
      names.map((name) => name.toUpperCase().replace("|", " ")),
    ),
  };
}

/** Whether a version is another or a later one. */
const isAtLeast = (version: string, other: string): boolean =>
  version.localeCompare(other, "en", { numeric: true }) >= 0;

/** Whether a row is one of the server's commands, going by its version. */
function shouldHave({ program, version }: Known, row: string): boolean {
  const since = SINCE[row];
  if (since === undefined) return true;
  const first = since[program];
  return first !== undefined && isAtLeast(version, first);
}

Deno.test("Each row of the map of replies is what the server answers", async () => {
  await using servers = await Servers.start();
  const known = await knownBy(servers);
  const faults: string[] = [];
  for (const [row, type] of ROWS) {
    if (known.commands.has(row) !== shouldHave(known, row)) {
      faults.push(`${row} is there since another version`);
    }
    if (known.commands.has(row)) {
      faults.push(...await faultsOf(row, type, servers));
    }
  }
  assertEquals(faults, []);
});

Deno.test("Each command of the server is a row, or there is a reason why not", async () => {
  await using servers = await Servers.start();
  const { commands } = await knownBy(servers);
  const reasons = new Set(Object.values(NOT_ROWS).flat());
  const rows = [...ROWS.keys()];
  assertEquals(rows.filter((row) => reasons.has(row)), [], "no reason needed");
  const others = [...commands].filter((name) =>
    !ROWS.has(name) && !reasons.has(name) &&
    !name.endsWith(" HELP") &&
    ![...commands].some((other) => other.startsWith(`${name} `))
  );
  assertEquals(others, []);
});

Deno.test("A wrong row is found", async () => {
  await using servers = await Servers.start();
  const wrong: readonly (readonly [row: string, type: string])[] = [
    ["EXISTS", "Bulk"],
    ["EXISTS", "number | null"],
    ["GET", "Bulk"],
    ["GET", "string | null"],
    ["GETRANGE", "Bulk | null"],
    ["INCR", "number"],
    ["LPOP", "Bulk | null"],
    ["MGET", "Bulk[]"],
    ["MGET", "(Bulk | number | null)[]"],
    ["SCAN", "[cursor: number, keys: Bulk[]]"],
    ["SCAN", "[cursor: Bulk, keys: Bulk[], more: Bulk]"],
    ["SET", '"OK" | null'],
    ["TYPE", "Bulk"],
    ["XRANGE", "[id: Bulk, fields: Bulk[] | null][]"],
  ];
  for (const [row, type] of wrong) {
    assert((await faultsOf(row, type, servers)).length > 0, `${row}: ${type}`);
  }
  assertEquals(await faultsOf("NOSUCH", "number", servers), [
    "NOSUCH has no line of checks",
  ]);
});

Deno.test("Each line of checks and each exception is of a row", () => {
  const names = [
    ...LINES.map(({ row }) => row),
    ...Object.keys(NOT_SHOWN),
    ...Object.keys(SINCE),
  ];
  assertEquals(names.filter((name) => !ROWS.has(name)), []);
});
