// What the diagnostics channels tell, when, and that they tell no values.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { AsyncLocalStorage } from "node:async_hooks";
import {
  channel,
  type ChannelListener,
  tracingChannel,
} from "node:diagnostics_channel";
import {
  CheckoutTimeoutError,
  type Command,
  ConnectionClosedError,
  DialError,
  ExponentialBackoff,
  Redis,
  ReplyError,
  Retry,
  RetryError,
  WebhookRecorder,
} from "../../mod.ts";
import type {
  Attributes,
  CommandTrace,
  MessageOf,
  TelemetryEvents,
} from "../../client/diagnostics.ts";
import "../../client/diagnostics.ts";
import { PUBLISHED_EVENTS } from "../../client/server_events.ts";
import { sink } from "../../client/telemetry.ts";
import { Endpoint } from "../../pool/socket/endpoint.ts";
import { importFlags } from "../support/imports.ts";
import { type RedisServer, startRedis } from "../support/redis_server.ts";
import { until } from "../support/wait.ts";

/** Of clients of several servers. */
const CLUSTER_CHANNELS = [
  "cluster:redirect",
  "cluster:topology",
  "sentinel:primary",
] as const satisfies readonly (keyof TelemetryEvents)[];
const CHANNELS = [
  "connection:open",
  "connection:fail",
  "connection:evict",
  "connection:close",
  "checkout:wait",
  "retry",
  "replay",
  "outbox",
] as const satisfies readonly (keyof TelemetryEvents)[];
const PHASES = ["start", "end", "error", "asyncStart", "asyncEnd"] as const;
const commands = tracingChannel("@unzombie/redis:command");
const NOBODY = "redis://127.0.0.1:1";
const EVENT = { mallId: "mall", shopNo: 1, eventType: "stock" };

interface Traced {
  readonly phase: (typeof PHASES)[number];
  readonly call: CommandTrace;
  /** At that moment: they change. */
  readonly attributes: Record<string, unknown>;
}

/** Listens to every channel until it is disposed of. */
class Subscriber implements Disposable {
  readonly #stack = new DisposableStack();
  readonly #heard: [channel: string, message: unknown][] = [];
  readonly traced: Traced[] = [];

  constructor() {
    for (const name of [...CHANNELS, ...CLUSTER_CHANNELS]) {
      this.#subscribe(
        channel(`@unzombie/redis:${name}`),
        (message) => this.#heard.push([name, message]),
      );
    }
    for (const phase of PHASES) {
      this.#subscribe(commands[phase], (message) => {
        const call = message as CommandTrace;
        const attributes = { ...call.attributes };
        this.traced.push({ phase, call, attributes });
      });
    }
  }

  #subscribe(
    channel: {
      subscribe(listener: ChannelListener): void;
      unsubscribe(listener: ChannelListener): void;
    },
    listener: ChannelListener,
  ): void {
    channel.subscribe(listener);
    this.#stack.defer(() => channel.unsubscribe(listener));
  }

  /** The messages of one channel so far. */
  of<Name extends keyof TelemetryEvents>(name: Name): MessageOf<Name>[] {
    return this.#heard.filter(([channel]) => channel === name)
      .map(([, message]) => message as MessageOf<Name>);
  }

  /** The names of the channels in the order of their messages. */
  get order(): string[] {
    return this.#heard.map(([channel]) => channel);
  }

  /** All messages, of the tracing channel too. */
  get messages(): unknown[] {
    return [
      ...this.#heard.map(([, message]) => message),
      ...this.traced.map(({ call }) => call),
    ];
  }

  /** Names and phases of the commands. */
  get phases(): string[] {
    return this.traced.map(({ phase, attributes }) =>
      `${attributes["db.operation.name"]} ${phase}`
    );
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

const poolOf = ({ hostname, port }: RedisServer): Attributes => ({
  "db.system.name": "redis",
  "db.namespace": "0",
  "server.address": hostname,
  "server.port": port,
  "db.client.connection.pool.name": `${hostname}:${port}/0`,
});

const quickly = (retries: number) =>
  new Retry({ retries, backoff: new ExponentialBackoff({ baseMs: 1 }) });

/** Has the server end a connection while a command waits for its reply. */
async function loseReply(
  server: RedisServer,
  clientId: number,
  send: () => Promise<unknown>,
): Promise<unknown> {
  await server.cli("CLIENT", "PAUSE", 10_000, "WRITE");
  const reply = send();
  reply.catch(() => {});
  await until(async () =>
    / cmd=(set|incr|zadd) /.test(await server.cli("CLIENT", "LIST"))
  );
  await server.cli("CLIENT", "KILL", "ID", clientId);
  await server.cli("CLIENT", "UNPAUSE");
  return await reply;
}

Deno.test("Diagnostics publish a connection from its opening to its end", async () => {
  await using server = await startRedis();
  using subscriber = new Subscriber();
  await using redis = new Redis(server.url);
  const clientId = Number(await redis.send(["CLIENT", "ID"]));
  const [opened] = subscriber.of("connection:open");
  assertEquals(opened, {
    attributes: poolOf(server),
    connection: 1,
    clientId,
    tookMs: opened!.tookMs,
  });
  assertGreater(opened!.tookMs, 0);

  await server.cli("CLIENT", "KILL", "ID", clientId);
  await until(() => subscriber.of("connection:close").length === 1);
  assertEquals(subscriber.of("connection:evict"), [
    { attributes: poolOf(server), connection: 1, reason: "fin" },
  ]);
  const [closed] = subscriber.of("connection:close");
  assertEquals(closed!.attributes, poolOf(server));
  const { by, during, connection } = closed!.report;
  assertEquals({ by, during, connection }, {
    by: "server",
    during: "idle",
    connection: 1,
  });
  assertEquals(closed!.report.clientId, clientId);

  await redis.send(["PING"]);
  await redis.close();
  assertEquals(subscriber.order, [
    "connection:open",
    "checkout:wait",
    "connection:evict",
    "connection:close",
    "connection:open",
    "checkout:wait",
    "connection:evict",
    "connection:close",
  ]);
  assertEquals(
    subscriber.of("connection:evict").map((it) => [it.connection, it.reason]),
    [[1, "fin"], [2, "requested"]],
  );
});

Deno.test("Diagnostics say why the pool evicted a connection", async () => {
  await using server = await startRedis();
  using subscriber = new Subscriber();
  await using redis = new Redis(server.url, { database: 3 });
  {
    await using lease = await redis.lease();
    await lease.send(["SELECT", 5]);
  }
  const [evicted] = subscriber.of("connection:evict");
  assertEquals(evicted, {
    attributes: {
      ...poolOf(server),
      "db.namespace": "3",
      "db.client.connection.pool.name": `${server.hostname}:${server.port}/3`,
    },
    connection: 1,
    reason: "unclean-lease",
  });
  assertEquals(subscriber.of("connection:close")[0]!.report.how, "requested");
});

Deno.test("Diagnostics publish each dial that failed, and the retries after it", async () => {
  using subscriber = new Subscriber();
  await using redis = new Redis(NOBODY, { retry: quickly(2) });
  const error = await assertRejects(() => redis.send(["PING"]), RetryError);
  const failed = subscriber.of("connection:fail");
  // A failed dial may answer for calls made soon after it.
  assertGreaterOrEqual(failed.length, 1);
  assertInstanceOf(failed[0]!.error, DialError);
  assertEquals(failed[0]!.attributes["server.port"], 1);

  assertEquals(
    subscriber.of("retry").map(({ attributes: _, error: __, ...what }) => what),
    [
      { command: "PING", attempt: 1, delayMs: 1, isReplay: false },
      { command: "PING", attempt: 2, delayMs: 2, isReplay: false },
    ],
  );
  for (const { error, attributes } of subscriber.of("retry")) {
    assertInstanceOf(error, DialError);
    assertEquals(
      attributes["db.client.connection.pool.name"],
      "127.0.0.1:1/0",
    );
  }
  const [, end] = subscriber.traced.filter(({ phase }) =>
    /start|error/.test(phase)
  );
  assertStrictEquals(end!.call.error, error);
  assertEquals(end!.attributes["error.type"], "RetryError");
  assertEquals(subscriber.of("connection:open"), []);
  assertEquals(subscriber.of("connection:close"), []);
});

Deno.test("Diagnostics say how long callers waited for a connection, and whether they got one", async () => {
  await using server = await startRedis();
  using subscriber = new Subscriber();
  await using redis = new Redis(server.url, {
    maxConnections: 1,
    checkoutTimeoutMs: 400,
    retry: false,
  });
  const first = await redis.lease();
  const second = redis.lease();
  await delay(30);
  first.release();
  const third = redis.send(["PING"]);
  await assertRejects(() => third, CheckoutTimeoutError);
  (await second).release();

  const waits = subscriber.of("checkout:wait");
  assertEquals(
    waits.map(({ exclusive, connection }) => ({ exclusive, connection })),
    [
      { exclusive: true, connection: 1 }, // for the dial
      { exclusive: true, connection: 1 },
      { exclusive: false, connection: undefined },
    ],
  );
  assertEquals(waits[0]!.attributes, poolOf(server));
  assertGreaterOrEqual(waits[1]!.waitedMs, 25);
  assertGreaterOrEqual(waits[2]!.waitedMs, 390);
  // Who need not wait is not told of.
  await redis.send(["PING"]);
  assertEquals(subscriber.of("checkout:wait").length, 3);
});

Deno.test("Diagnostics publish commands that are replayed", async () => {
  await using server = await startRedis();
  using subscriber = new Subscriber();
  await using redis = new Redis(server.url);
  const clientId = Number(await redis.send(["CLIENT", "ID"]));
  await loseReply(server, clientId, () => redis.send(["SET", "key", "value"]));
  const [replay, ...more] = subscriber.of("replay");
  assertEquals(more, []);
  const { error, ...what } = replay!;
  assertEquals(what, {
    attributes: poolOf(server),
    command: "SET",
    attempt: 1,
    delayMs: 0,
    isReplay: true,
  });
  assertInstanceOf(error, ConnectionClosedError);
  assertEquals(subscriber.of("retry"), []);
  assertEquals(
    subscriber.phases.filter((phase) => phase.startsWith("SET")),
    ["SET start", "SET end", "SET asyncStart", "SET asyncEnd"],
  );
});

Deno.test("Diagnostics publish what an outbox holds, sends and loses", async () => {
  await using server = await startRedis();
  using subscriber = new Subscriber();
  await using redis = new Redis(server.url, { retry: false });
  const recorder = new WebhookRecorder(redis, { outboxCapacity: 3 });
  await recorder.record(EVENT);
  assertEquals(subscriber.of("outbox"), []); // it never was in there

  await server.stop();
  await recorder.record(EVENT, 2);
  await recorder.record(EVENT, 2);
  await server.start();
  await recorder.flush();
  await server.stop();
  await recorder.record(EVENT);
  await redis.close();
  await recorder.flush();
  assertEquals(
    subscriber.of("outbox").map(({ error: _, ...what }) => what),
    ([
      ["queued", 2, 2],
      ["dropped", 2, 2],
      ["recorded", 2, 0],
      ["queued", 1, 1],
      ["dropped", 1, 0],
    ] as const).map(([change, count, pending]) => ({
      attributes: poolOf(server),
      change,
      count,
      pending,
      capacity: 3,
    })),
  );
  assertEquals(
    subscriber.of("outbox").map((message) => "error" in message),
    [true, true, false, true, true],
  );
  await recorder[Symbol.asyncDispose]();
});

Deno.test("A traced command starts, ends its synchronous part, then its asynchronous one", async () => {
  await using server = await startRedis();
  using subscriber = new Subscriber();
  await using redis = new Redis(server.url);
  const promise = redis.send(["set", "key", "value"]);
  assertEquals(subscriber.phases, ["SET start", "SET end"]);
  assertEquals(await promise, "OK");
  await redis.pipeline([["PING"], ["PING"]]);
  {
    await using lease = await redis.lease();
    await lease.send(["PING"]);
  }
  const all = (name: string) =>
    ["start", "end", "asyncStart", "asyncEnd"].map((p) => `${name} ${p}`);
  const fine = [...all("SET"), ...all("PIPELINE PING"), ...all("PING")];
  assertEquals(subscriber.phases, fine);

  await assertRejects(() => redis.send(["LPUSH", "key", 1]), ReplyError);
  {
    await using lease = await redis.lease();
    await assertRejects(() => lease.send(["LPUSH", "key", 1]), ReplyError);
  }
  const failed = ["start", "end", "error", "asyncStart", "asyncEnd"]
    .map((phase) => `LPUSH ${phase}`);
  assertEquals(subscriber.phases, [...fine, ...failed, ...failed]);
  assertEquals(new Set(subscriber.traced.map(({ call }) => call)).size, 5);
});

Deno.test("A traced command has OpenTelemetry's attributes", async () => {
  await using server = await startRedis();
  using subscriber = new Subscriber();
  await using redis = new Redis(server.url);
  const { "db.client.connection.pool.name": _, ...place } = poolOf(server);

  await redis.send(["set", "key", "value"]);
  await redis.pipeline([["PING"]]);
  await redis.pipeline([["GET", "key"], ["get", "key"]]);
  await redis.pipeline([["GET", "key"], ["LPUSH", "key", 1]]);
  await redis.pipeline([]);
  const ends = () =>
    subscriber.traced.filter(({ phase }) => phase === "asyncEnd")
      .map(({ attributes }) => attributes);
  assertEquals(ends(), [
    { ...place, "db.operation.name": "SET" },
    { ...place, "db.operation.name": "PIPELINE PING" },
    {
      ...place,
      "db.operation.name": "PIPELINE GET",
      "db.operation.batch.size": 2,
    },
    {
      ...place,
      "db.operation.name": "PIPELINE",
      "db.operation.batch.size": 2,
    },
    { ...place, "db.operation.name": "PIPELINE" },
  ]);

  const error = await assertRejects(
    () => redis.send(["LPUSH", "key", 1]),
    ReplyError,
  );
  assertEquals(ends().at(-1), {
    ...place,
    "db.operation.name": "LPUSH",
    "db.response.status_code": "WRONGTYPE",
    "error.type": "WRONGTYPE",
  });
  const { phase, call } = subscriber.traced.at(-3)!;
  assertEquals(phase, "error");
  assertStrictEquals(call.error, error);
  assertEquals(subscriber.traced.at(-5)!.attributes["error.type"], undefined);

  const signal = AbortSignal.abort(new DOMException("left", "AbortError"));
  await assertRejects(() => redis.send(["GET", "key"], { signal }));
  assertEquals(ends().at(-1), {
    ...place,
    "db.operation.name": "GET",
    "error.type": "AbortError",
  });
  await assertRejects(() =>
    redis.send(["GET", "key"], { signal: AbortSignal.abort("no error") })
  );
  assertEquals(ends().at(-1)!["error.type"], "_OTHER");
});

Deno.test("A command that blocks is traced once", async () => {
  await using server = await startRedis();
  using subscriber = new Subscriber();
  await using redis = new Redis(server.url);
  await server.cli("RPUSH", "list", "a", "b");
  assertEquals(await redis.send(["BLPOP", "list", 1]), ["list", "a"]);
  {
    await using lease = await redis.lease();
    assertEquals(await lease.send(["BLPOP", "list", 1]), ["list", "b"]);
  }
  const once = ["start", "end", "asyncStart", "asyncEnd"]
    .map((phase) => `BLPOP ${phase}`);
  assertEquals(subscriber.phases, [...once, ...once]);
});

Deno.test("A store bound to the start of a trace is set during all of it, and not after it", async () => {
  await using server = await startRedis();
  const bound = new AsyncLocalStorage<CommandTrace>();
  const callers = new AsyncLocalStorage<string>();
  const seen: [
    phase: string,
    bound: CommandTrace | undefined,
    caller?: string,
  ][] = [];
  await using redis = new Redis(NOBODY, {
    retry: quickly(1),
    onRetry: () => seen.push(["onRetry", bound.getStore()]),
  });
  await using other = new Redis(server.url);
  await other.send(["SET", "key", "value"]);

  using stack = new DisposableStack();
  commands.start.bindStore(bound, (message) => message as CommandTrace);
  stack.defer(() => commands.start.unbindStore(bound));
  for (const phase of PHASES) {
    const look = () =>
      seen.push([phase, bound.getStore(), callers.getStore() ?? "nobody"]);
    commands[phase].subscribe(look);
    stack.defer(() => commands[phase].unsubscribe(look));
  }
  using subscriber = new Subscriber();
  await callers.run("caller", async () => {
    await redis.send(["PING"]).catch(() => {});
    await other.send(["GET", "key"]);
    assertEquals(bound.getStore(), undefined);
    assertEquals(callers.getStore(), "caller");
  });
  assertEquals(
    seen.map(([phase]) => phase),
    [
      ...["start", "end", "onRetry", "error", "asyncStart", "asyncEnd"],
      ...["start", "end", "asyncStart", "asyncEnd"],
    ],
  );
  const [ping, get] = new Set(subscriber.traced.map(({ call }) => call));
  assertNotStrictEquals(ping, get);
  seen.forEach(([phase, call, caller = "caller"], i) => {
    assertStrictEquals(call, i < 6 ? ping : get, phase);
    assertEquals(caller, "caller", phase);
  });
});

Deno.test("What is no command is refused in the same way, traced or not", async () => {
  await using redis = new Redis(NOBODY, { retry: false });
  const wrong: unknown[] = [
    undefined,
    null,
    "PING",
    {},
    [],
    [1],
    [Symbol("name")],
    [undefined],
    ["GET", Symbol("key")],
  ];
  const refusals = async () => {
    const texts: string[] = [];
    for (const command of wrong as Command[]) {
      for (
        const call of [
          () => redis.send(command),
          () => redis.pipeline([command]),
          () => redis.pipeline(command as unknown as Command[]),
        ]
      ) {
        const promise = call(); // throws nothing
        texts.push(await promise.then((r) => Deno.inspect(r), (e) => `${e}`));
      }
    }
    return texts;
  };
  const untraced = await refusals();
  using subscriber = new Subscriber();
  assertEquals(await refusals(), untraced);
  for (const { call } of subscriber.traced) call.statement(); // throws nothing
});

Deno.test("No message shows a key, a value or a password; a statement does, when asked for", async () => {
  const secrets = ["s3cret-key", "s3cret-value", "s3cret-bytes", "s3cret-word"];
  const [key, value, bytes, password] = secrets as [
    string,
    string,
    string,
    string,
  ];
  await using server = await startRedis({ password });
  using subscriber = new Subscriber();
  await using redis = new Redis(server.url, { retry: quickly(2) });
  await redis.send(["SET", key, value]);
  await redis.pipeline([["SET", key, value], [
    "SET",
    key,
    new TextEncoder().encode(bytes),
  ]]);
  await redis.send(["GET", key]);
  await assertRejects(() => redis.send(["LPUSH", key, value]), ReplyError);
  {
    await using lease = await redis.lease();
    await lease.send(["AUTH", password]);
    await lease.send(["SET", key, value]);
  }
  await redis.send(["BLPOP", `${key}-list`, 0.01]);
  await assertRejects(() => redis.send(["SELECT", value]), TypeError);
  await assertRejects(
    () => redis.send(["SET", key, { value } as unknown as string]),
    TypeError,
  );
  const clientId = Number(await redis.send(["CLIENT", "ID"]));
  await loseReply(server, clientId, () => redis.send(["SET", key, value]));
  const nextId = Number(await redis.send(["CLIENT", "ID"]));
  await server.cli("SET", key, 1);
  await assertRejects(
    () => loseReply(server, nextId, () => redis.send(["INCR", key])),
    ConnectionClosedError,
  );
  await using recorder = new WebhookRecorder(redis, { outboxCapacity: 1 });
  const event = { ...EVENT, mallId: key, deliveryId: value };
  await redis.send(["SET", `webhook_frequency_${key}_1_stock`, value]);
  assertEquals((await recorder.record(event)).status, "dropped"); // WRONGTYPE
  await server.stop();
  await recorder.record({ ...event, eventType: "other" });
  await recorder.record({ ...event, eventType: "other" });
  await assertRejects(() => redis.send(["SET", key, value]), RetryError);
  await redis.close();
  await using stranger = new Redis(
    `redis://:${password}-wrong@127.0.0.1:${server.port}`,
  );
  await server.start();
  await assertRejects(() => stranger.send(["GET", key]), DialError);

  for (const name of CHANNELS) assert(subscriber.of(name).length > 0, name);
  for (const message of subscriber.messages) {
    for (
      const text of [
        Deno.inspect(message, { depth: 100, showHidden: true }),
        JSON.stringify(message),
        JSON.stringify(Object.entries(message as object)),
        Deno.inspect((message as { error?: unknown }).error, { depth: 100 }),
        `${(message as { error?: unknown }).error}`,
      ]
    ) {
      for (const secret of secrets) assert(!text.includes(secret), text);
    }
  }

  const calls = new Set(subscriber.traced.map(({ call }) => call));
  assertEquals([...calls].slice(0, 2).map((call) => call.statement()), [
    'SET "s3cret-key" "s3cret-value"',
    'SET "s3cret-key" "s3cret-value"; SET "s3cret-key" "s3cret-bytes"',
  ]);
});

Deno.test("Only the error reply to an unknown command shows its arguments", async () => {
  await using server = await startRedis();
  using subscriber = new Subscriber();
  await using redis = new Redis(server.url);
  await assertRejects(() => redis.send(["NOSUCH", "s3cret"]), ReplyError);
  const { call } = subscriber.traced.at(-1)!;
  assertStringIncludes(`${call.error}`, "s3cret");
  assertEquals(call.attributes["error.type"], "ERR");
  const { error: _, ...rest } = call;
  assert(!Deno.inspect(rest, { depth: 100 }).includes("s3cret"));
});

/** Runs a program that has `Redis`, `subscribe` and `url`. */
async function runProgram(url: string, program: string) {
  const from = (path: string) => JSON.stringify(import.meta.resolve(path));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--quiet",
      ...importFlags,
      `
        import { subscribe } from "node:diagnostics_channel";
        import "node:process"; // or Deno 2.9 forgets the errors of subscribers
        import { Redis } from ${from("../../mod.ts")};
        import ${from("../../client/diagnostics.ts")};
        const url = Deno.env.get("REDIS_URL");
        ${program}
      `,
    ],
    env: { REDIS_URL: url, NO_COLOR: "1" },
  }).output();
  const [output, log] = [stdout, stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  ) as [string, string];
  return { code, output, log };
}

Deno.test("A subscriber that throws makes no command fail; without a listener its error ends the process", async () => {
  await using server = await startRedis();
  const program = `
    for (const phase of ["start", "end", "error", "asyncStart", "asyncEnd"]) {
      subscribe("tracing:@unzombie/redis:command:" + phase, () => {
        throw new Error("thrown in " + phase);
      });
    }
    subscribe("@unzombie/redis:connection:open", () => {
      throw new Error("thrown in open");
    });
    await using redis = new Redis(url);
    console.log(await redis.send(["SET", "key", "value"]));
    console.log(await redis.pipeline([["GET", "key"], ["ECHO", "a"]]));
    console.log(await redis.send(["INCR", "key"]).catch((e) => e.name));
    console.log(redis.stats().evicted);
  `;
  const heard = await runProgram(
    server.url,
    `
      const errors = [];
      process.on("uncaughtException", (error) => errors.push(error.message));
      {${program}}
      await new Promise((resolve) => setTimeout(resolve, 10));
      console.log(errors.length, errors[0]);
    `,
  );
  assertEquals(heard, {
    code: 0,
    output: `OK
[ "value", "a" ]
CommandError
{}
14 thrown in start
`,
    log: "",
  });

  const unheard = await runProgram(server.url, `{${program}}`);
  assertEquals(unheard.code, 1);
  assertStringIncludes(unheard.log, "Uncaught Error: thrown in start");
});

Deno.test("mod.ts loads neither the diagnostics nor anything of Node's", async () => {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "info",
      "--json",
      ...importFlags,
      decodeURIComponent(new URL("../../mod.ts", import.meta.url).pathname),
    ],
  }).output();
  assert(success);
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
    modules: {
      specifier: string;
      dependencies?: { code?: { specifier: string }; isDynamic?: boolean }[];
    }[];
  };
  // What is imported on demand is not loaded with it.
  const loaded = [import.meta.resolve("../../mod.ts")];
  for (const name of loaded) {
    const module = modules.find(({ specifier }) => specifier === name);
    for (const { code, isDynamic } of module?.dependencies ?? []) {
      if (code === undefined || isDynamic) continue;
      if (!loaded.includes(code.specifier)) loaded.push(code.specifier);
    }
  }
  assert(loaded.includes(import.meta.resolve("../../client/telemetry.ts")));
  assert(!loaded.includes(import.meta.resolve("../../client/diagnostics.ts")));
  assertEquals(loaded.filter((name) => name.startsWith("node:")), []);
});

Deno.test("Diagnostics publish what a directory finds out, at the server that said it", () => {
  using subscriber = new Subscriber();
  const at = new Endpoint("redis://user:s3cret@h:7000");
  const attributes = {
    "db.system.name": "redis",
    "db.namespace": "0",
    "server.address": "h",
    "server.port": 7000,
    "db.client.connection.pool.name": "h:7000/0",
  } as const;
  const redirect = { code: "MOVED", hashSlot: 9842, to: "h:7001" } as const;
  PUBLISHED_EVENTS.onRedirect(at, redirect);
  assertEquals(subscriber.of("cluster:redirect"), [
    { attributes, ...redirect, from: "h:7000" },
  ]);
  const answer = {
    servers: ["h:7000", "h:7001"],
    covered: 16384,
    tookMs: 0.5,
    why: "MOVED",
  };
  PUBLISHED_EVENTS.onTopology(at, answer);
  assertEquals(subscriber.of("cluster:topology"), [
    { attributes, ...answer, askedOf: "h:7000" },
  ]);
  const change = { name: "mymaster", from: "h:6379", namedBy: "s1:26379" };
  PUBLISHED_EVENTS.onPrimary(at, change);
  assertEquals(subscriber.of("sentinel:primary"), [
    { attributes, ...change, to: "h:7000" },
  ]);
});

Deno.test("A command is traced to the server that it has gone to in the end", async () => {
  using subscriber = new Subscriber();
  let port = 7000;
  await sink!.trace(
    () => ({ hostname: "h", port, database: 0 }),
    [["PING"]],
    false,
    () => {
      port = 7001; // a redirect
      return Promise.resolve();
    },
  );
  assertEquals(
    subscriber.traced.map(({ phase, attributes }) => [
      phase,
      attributes["server.port"],
    ]),
    [["start", 7000], ["end", 7000], ["asyncStart", 7001], ["asyncEnd", 7001]],
  );
});

Deno.test("Without subscribers a command is run as it is: it is not looked at, and its promise is handed on", async () => {
  const publisher = sink!;
  const origin = { hostname: "redis.example", port: 6379, database: 0 };
  const untouchable = new Proxy<[string]>([""], {
    get: () => {
      throw new Error("a command was looked at");
    },
  });
  const reply = Promise.resolve("OK");
  const sent: string[] = [];
  const trace = (command: Command): Promise<string> =>
    publisher.trace(() => origin, [command], false, () => {
      sent.push("sent");
      return reply;
    });
  assertStrictEquals(trace(untouchable), reply);
  {
    using subscriber = new Subscriber();
    const traced = trace(["PING"]);
    assertNotStrictEquals(traced, reply);
    assertEquals(await traced, "OK");
    assertEquals(subscriber.phases[0], "PING start");
    assertThrows(() => trace(untouchable), Error, "looked at");
  }
  assertStrictEquals(trace(untouchable), reply);
  assertEquals(sent.length, 3);

  // Nor is a message made of what has happened.
  const unread = new Proxy({}, {
    ownKeys: () => {
      throw new Error("a message was made");
    },
  }) as TelemetryEvents["connection:fail"];
  publisher.publish("connection:fail", origin, unread);
  using _subscriber = new Subscriber();
  assertThrows(
    () => publisher.publish("connection:fail", origin, unread),
    Error,
    "was made",
  );
});
