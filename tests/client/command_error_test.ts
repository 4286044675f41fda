// What an error reply tells its caller: which command, what became of it, and where it was awaited.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
} from "@std/assert";
import {
  type Command,
  CommandError,
  DeadlineError,
  ExponentialBackoff,
  type Fate,
  fateOf,
  Redis,
  type Reply,
  ReplyError,
  Retry,
  RetryError,
} from "../../mod.ts";
import { errorOf, repliesOfExec } from "../../client/command_error.ts";
import type { Identity } from "../../pool/connection/identity.ts";
import type { Dial } from "../../pool/socket/socket.ts";
import { startRedis } from "../support/redis_server.ts";

/** The line of a stack that leads to a function of this file. */
const lineOf = (name: string): RegExp =>
  new RegExp(`at async ${name} \\(.*command_error_test\\.ts:\\d+:\\d+\\)`);

/** A peer that greets, then answers each command with the same bytes. */
function peer(answer: string): Dial {
  return () => {
    let waiting = Promise.withResolvers<void>();
    const answers: string[] = [];
    let isGreeted = false;
    return Promise.resolve({
      async read(buffer: Uint8Array): Promise<number | null> {
        await waiting.promise;
        waiting = Promise.withResolvers<void>();
        const text = answers.splice(0).join("");
        return new TextEncoder().encodeInto(text, buffer).written || null;
      },
      write(bytes: Uint8Array): Promise<number> {
        const count = new TextDecoder().decode(bytes).match(/^\*/gm)!.length;
        if (!isGreeted) answers.push("*0\r\n");
        else for (let i = 0; i < count; i++) answers.push(answer);
        isGreeted = true;
        waiting.resolve();
        return Promise.resolve(bytes.length);
      },
      close: () => waiting.resolve(),
    });
  };
}

Deno.test("A command that is answered with an error rejects with a CommandError", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await redis.send(["SET", "text", "value"]);
  const cases: [command: Command, code: string, fate: Fate][] = [
    [["LPUSH", "text", "secret"], "WRONGTYPE", "executed"],
    [["lpush", "text", "secret"], "WRONGTYPE", "executed"],
    [["GET"], "ERR", "unsent"],
    [["NOSUCH", "a"], "ERR", "unsent"],
    [["EVAL", "return redis.error_reply('OOM mine')", 0], "OOM", "unknown"],
    [["EVALSHA", "f".repeat(40), 0], "NOSCRIPT", "unsent"],
  ];
  for (const [command, code, fate] of cases) {
    const error = await assertRejects(() => redis.send(command), CommandError);
    assertInstanceOf(error, ReplyError);
    assertEquals(error.name, "CommandError");
    assertEquals(error.command, command[0]);
    assertEquals(error.code, code);
    assertEquals(error.fate, fate);
    assertEquals(fateOf(error), fate);
    assert(!Deno.inspect(error).includes("secret"));
  }
  const error = await assertRejects(() => redis.send(["LPUSH", "text", 1]));
  assertEquals(
    (error as Error).message,
    "WRONGTYPE Operation against a key holding the wrong kind of value",
  );
});

Deno.test("The stack of an error leads to the line that awaits the call", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  async function sender() {
    await redis.send(["GET"]);
  }
  async function piper() {
    const [reply] = await redis.pipeline([["GET"], ["PING"]]);
    throw reply;
  }
  async function several() {
    await Promise.all([redis.send(["PING"]), redis.send(["GET"])]);
  }
  async function chained() {
    await redis.send(["GET"]).then((reply) => reply);
  }
  async function leaser() {
    await using lease = await redis.lease();
    await lease.send(["GET"]);
  }
  async function blocker() {
    await redis.send(["BLPOP", "key", "no number"]);
  }
  for (const fn of [sender, piper, several, chained, leaser, blocker]) {
    const { stack } = await assertRejects(fn, CommandError);
    assertMatch(stack!, lineOf(fn.name));
    assertMatch(stack!, /^CommandError: ERR /);
    assertMatch(
      stack!,
      /\n {4}\(command: (?:GET|BLPOP), fate: (?:unsent|executed)\)$/,
    );
  }
});

Deno.test("The stack of a lost command, and of one that was given up, leads to the line that awaits it", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 1 });
  await redis.send(["PING"]);
  async function loser() {
    const lost = redis.send(["INCR", "n"], { replay: "never" });
    await lost;
  }
  server.freeze();
  const lost = assertRejects(loser);
  async function waiter() {
    await redis.send(["GET", "n"], { deadlineMs: 30 });
  }
  const late = await assertRejects(waiter, DeadlineError);
  assertMatch(late.stack!, lineOf("waiter"));
  await server.kill();
  assertMatch(((await lost) as Error).stack!, lineOf("loser"));
  const retry = new Retry({ retries: 1, sleep: () => Promise.resolve() });
  async function giver() {
    await redis.send(["GET", "n"], { retry });
  }
  assertMatch(
    ((await assertRejects(giver)) as Error).stack!,
    lineOf("giver"),
  );
});

Deno.test("An error that is made before anything is sent has the line that made the call", async () => {
  await using redis = new Redis("redis://127.0.0.1:1");
  const caller = () => redis.send(["SELECT", 1]);
  const error = await assertRejects(caller, TypeError);
  assertMatch(error.stack!, /at caller \(.*command_error_test\.ts/);
});

Deno.test("The error replies of a pipeline name their commands", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const replies = await redis.pipeline([
    ["SET", "text", "value"],
    ["INCR", "text"],
    ["GET", "text"],
    ["nosuch", "secret"],
  ]);
  assertEquals([replies[0], replies[2]], ["OK", "value"]);
  const [, incr, , nosuch] = replies;
  assertInstanceOf(incr, CommandError);
  assertInstanceOf(nosuch, CommandError);
  assertEquals([incr.command, incr.fate], ["INCR", "executed"]);
  assertEquals([nosuch.command, nosuch.fate], ["nosuch", "unsent"]);
});

Deno.test("The errors of a transaction are of commands that EXEC has run", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using lease = await redis.lease();
  await redis.send(["SET", "text", "value"]);
  await lease.send(["MULTI"]);
  await lease.send(["INCR", "text"]);
  await lease.send(["EVAL", "return redis.error_reply('READONLY mine')", 0]);
  await lease.send(["GET", "text"]);
  const [incr, script, get] = await lease.send(["EXEC"]) as Reply[];
  assertInstanceOf(incr, CommandError);
  assertInstanceOf(script, CommandError);
  assertEquals([incr.command, incr.fate], ["EXEC", "executed"]);
  assertEquals([script.command, script.fate], ["EXEC", "unknown"]);
  assertEquals(get, "value");

  await lease.send(["MULTI"]);
  const arity = await assertRejects(() => lease.send(["GET"]), CommandError);
  assertEquals(arity.fate, "unsent");
  const exec = await assertRejects(() => lease.send(["EXEC"]), CommandError);
  assertEquals([exec.code, exec.fate], ["EXECABORT", "unsent"]);
});

Deno.test("What EXEC answers without an error is handed on as it is", () => {
  const replies = ["OK", 1, null, new ReplyError("MOVED 1 a:1")];
  const [ok, one, none, moved] = repliesOfExec(replies, () => "EXEC");
  assertEquals([ok, one, none], ["OK", 1, null]);
  assertEquals(fateOf(moved), "unknown");
});

Deno.test("An error of a script is not believed, in the wordings of all versions", () => {
  const cases: [text: string, fate: Fate][] = [
    // The script itself was refused.
    ["NOSCRIPT No matching script. Please use EVAL.", "unsent"],
    ["NOAUTH Authentication required.", "unsent"],
    ["ERR Error compiling script (new function): user_script:1:", "unsent"],
    ["ERR Function not found", "unsent"],
    ["ERR unknown command 'EVALSHA', with args beginning with: ", "unsent"],
    ["ERR wrong number of arguments for 'evalsha' command", "unsent"],
    [
      "NOPERM this user has no permissions to run the 'evalsha' command",
      "unsent",
    ],
    // One of its commands was, or it chose these words.
    [
      "READONLY You can't write against a read only replica. script: 1f, on @user_script:1.",
      "unknown",
    ],
    [
      "ERR Error running script (call to f_1f): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica. ",
      "unknown",
    ],
    [
      "ERR Error running script (call to f_1f): @user_script:1: @user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.",
      "unknown",
    ],
    [
      "NOREPLICAS Not enough good replicas to write. script: 1f, on @user_script:1.",
      "unknown",
    ],
    ["LOADING later", "unknown"],
    ["NOPERM this user has no permissions to run the 'set' command", "unknown"],
    // It ran, and so did its commands.
    ["NOSCRIPT mine", "executed"],
    [
      "ERR Error running script (call to f_1f): @user_script:1: user_script:1: mine",
      "executed",
    ],
    [
      "WRONGTYPE Operation against a key holding the wrong kind of value script: 1f, on @user_script:1.",
      "executed",
    ],
  ];
  for (const name of ["EVALSHA", "evalsha"]) {
    for (const [text, fate] of cases) {
      const error = errorOf([name, "1f", 0], new ReplyError(text));
      assertEquals(error.fate, fate, text);
      assertEquals(error.message, text);
    }
  }
  for (const name of ["EVAL", "EVAL_RO", "FCALL", "fcall_ro"]) {
    const reply = new ReplyError("READONLY mine");
    assertEquals(errorOf([name, "x", 0], reply).fate, "unknown", name);
  }
  assertEquals(
    errorOf(["SET", "k", "v"], new ReplyError("READONLY mine")).fate,
    "unsent",
  );
});

Deno.test("A redirect says what the URL of a client without a cluster lacks", async () => {
  for (const code of ["MOVED", "ASK"]) {
    const text = `${code} 3999 127.0.0.1:6381`;
    await using redis = new Redis("redis://nowhere", {
      dial: peer(`-${text}\r\n`),
    });
    const error = await assertRejects(
      () => redis.send(["GET", "key"]),
      CommandError,
    );
    assertEquals(
      error.message,
      `${text}; this server is a node of a cluster: add ?cluster=true to the URL`,
    );
    assertEquals(error.code, code);
    assertEquals(error.fate, "unsent");
    assertEquals(redis.stats().retries, 0);
  }
});

Deno.test("The first error of a cluster's node says that it is one, and a proxy's is left as it is", () => {
  const text = (message: string, mode?: string, isOfCluster?: true) =>
    errorOf(
      ["MSET", "a", "1", "b", "2"],
      new ReplyError(message),
      mode === undefined
        ? undefined
        : { mode, ...(isOfCluster && { isOfCluster }) },
    ).message;
  const hint =
    "; this server is a node of a cluster: add ?cluster=true to the URL";
  const tag = "; the keys of one command need the same {tag}";
  const down = "CLUSTERDOWN Hash slot not served";
  assertEquals(text(down), down + hint);
  assertEquals(text(down, "cluster", true), down);
  const moved = "MOVED 1 h:7000";
  assertEquals(text(moved, "cluster"), moved + hint);
  assertEquals(text(moved, "cluster", true), moved);
  const crossslot = "CROSSSLOT Keys in request don't hash to the same slot";
  assertEquals(text(crossslot, "cluster"), crossslot + tag + hint);
  assertEquals(
    text(crossslot, "cluster", true),
    `${crossslot}${tag}, or send a pipeline of single commands`,
  );
  assertEquals(text(crossslot, "standalone"), crossslot);
  assertEquals(text(crossslot), crossslot);
  assertEquals(text("ERR syntax error", "cluster"), "ERR syntax error");
});

Deno.test("What a replica refuses says how its primary is reached, unless a cluster or Sentinels name it", () => {
  const readonly = "READONLY You can't write against a read only replica.";
  const text = (identity?: Identity, message = readonly) =>
    errorOf(["SET", "k", 1], new ReplyError(message), identity).message;
  const advice =
    "; this server is a replica: use its primary, ?cluster=true or ?sentinel=name";
  for (const role of ["replica", "slave"]) {
    assertEquals(text({ role }), readonly + advice);
    assertEquals(text({ role, isOfCluster: true }), readonly);
    assertEquals(text({ role }, "ERR syntax error"), "ERR syntax error");
  }
  assertEquals(text({ role: "master" }), readonly); // demoted since the handshake
  assertEquals(text(), readonly);
});

Deno.test("A write at a replica fails with the way to its primary, after all attempts", async () => {
  await using server = await startRedis();
  await using admin = new Redis(server.url);
  await admin.send(["REPLICAOF", "127.0.0.1", "1"]);
  await using redis = new Redis(server.url, {
    retry: new Retry({
      retries: 1,
      backoff: new ExponentialBackoff({ baseMs: 1 }),
    }),
  });
  const { errors, message } = await assertRejects(
    () => redis.send(["SET", "k", 1]),
    RetryError,
  );
  assertEquals(errors.length, 2);
  assertMatch(message, /this server is a replica: use its primary/);
});

Deno.test("An error never repeats the arguments of AUTH and its like", () => {
  for (const name of ["auth", "HELLO", "ACL", "CONFIG", "MIGRATE"]) {
    const reply = new ReplyError(
      `ERR unknown command '${name}', with args beginning with: 'user' 's3cret' `,
    );
    const { message } = errorOf([name, "user", "s3cret"], reply);
    assertEquals(message, `ERR unknown command '${name}'`);
  }
  const other = errorOf(
    ["NOSUCH", "a"],
    new ReplyError(
      "ERR unknown command 'NOSUCH', with args beginning with: 'a' ",
    ),
  );
  assertMatch(other.message, /with args/);
});

Deno.test("Refusals of hosted services and proxies are told apart on the way to the caller", async () => {
  const cases: [answer: string, fate: Fate, attempts: number][] = [
    ["ERR max concurrent connections exceeded", "unsent", 2],
    ["NOREPLICAS Not enough good replicas to write.", "unsent", 2],
    ["no upstream host", "unsent", 2],
    ["OOM command not allowed when used memory > 'maxmemory'.", "unsent", 1],
    ["upstream failure", "unknown", 1],
    ["ERR service is not available", "unsent", 1],
    ["WRONGTYPE Operation against a key", "executed", 1],
  ];
  for (const [answer, fate, attempts] of cases) {
    let retries = 0;
    await using redis = new Redis("redis://nowhere", {
      dial: peer(`-${answer}\r\n`),
      retry: new Retry({ retries: 1, sleep: () => Promise.resolve() }),
      onRetry: () => retries++,
    });
    const error = await assertRejects(() => redis.send(["SET", "k", "v"]));
    assertEquals(fateOf(error), fate, answer);
    assertEquals(retries + 1, attempts, answer);
    retries = 0;
    const piped = await redis.pipeline([["SET", "k", "v"]])
      .then(([reply]) => reply, (error) => error);
    assertEquals(fateOf(piped), fate, answer);
    assertEquals(retries + 1, attempts, answer);
  }
});

Deno.test("A script is not sent again, whatever refusal it answers with, alone or in a pipeline", async () => {
  let retries = 0;
  await using redis = new Redis("redis://nowhere", {
    dial: peer("-LOADING mine\r\n"),
    onRetry: () => retries++,
  });
  const script: Command = ["EVAL", "return 1", 0];
  await assertRejects(() => redis.send(script), CommandError);
  const replies = await redis.pipeline([["SET", "k", "v"], script]);
  assert(replies.every((reply) => reply instanceof CommandError));
  assertEquals(replies.map(fateOf), ["unsent", "unknown"]);
  assertEquals(retries, 0);
});
