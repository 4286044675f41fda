// That fateOf says what is so of every error, however the error was wrapped or copied.

import "../support/strict.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  CheckoutTimeoutError,
  ClosedError,
  type Command,
  CommandError,
  ConnectionClosedError,
  DialError,
  type Fate,
  fateOf,
  Redis,
  ReplyError,
  Retry,
  RetryError,
} from "../../mod.ts";
import { noteAbort, withFate } from "../../client/fate.ts";
import type { CallEngine } from "../../client/call.ts";
import { PipelineCall } from "../../client/pipeline_call.ts";
import type { PushRight } from "../../pool/connection/push_right.ts";
import { dial } from "../../pool/socket/dial.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { CLOSE_REPORT } from "../support/loss.ts";
import { startRedis } from "../support/redis_server.ts";

const unsent = new ConnectionClosedError(CLOSE_REPORT, "unsent");
const unknown = new ConnectionClosedError(CLOSE_REPORT, "unknown");
const executed = new CommandError("WRONGTYPE no", "LPUSH", "executed");

/** An error around an error, as applications make them. */
const around = (cause: unknown): Error => new Error("Cannot save", { cause });

Deno.test("fateOf finds a fate behind causes and among errors", () => {
  const circular: Error & { cause?: unknown } = new Error("a");
  circular.cause = new Error("b", { cause: circular });
  const cases: [unknown, Fate][] = [
    [around(unsent), "unsent"],
    [around(executed), "executed"],
    [around(around(around(unsent))), "unsent"],
    [new TypeError("wrapped", { cause: executed }), "executed"],
    [around(new ReplyError("OOM no")), "unsent"],
    [around("nothing"), "unknown"],
    [new AggregateError([unsent, unsent]), "unsent"],
    [new AggregateError([unsent, executed]), "executed"],
    [new AggregateError([executed, unknown, unsent]), "unknown"],
    [new AggregateError([unsent, "something else"]), "unknown"],
    [new AggregateError([]), "unknown"],
    [new AggregateError([], "wrapped", { cause: unsent }), "unsent"],
    [around(new AggregateError([around(unsent)])), "unsent"],
    [new RetryError([executed, unknown]), "unknown"],
    [new RetryError([unknown, executed]), "unknown"],
    [new RetryError([unsent, executed]), "executed"],
    [new RetryError([unsent, new Error("of a policy")]), "unknown"],
    [{ fate: "unsent" }, "unsent"],
    [{ fate: "doubtful" }, "unknown"],
    [{ errors: "none" }, "unknown"],
    [JSON.parse(JSON.stringify(unsent)), "unsent"],
    [circular, "unknown"],
    [new TypeError("a mistake"), "unknown"],
    [new RangeError("a mistake"), "unknown"],
    [null, "unknown"],
    [undefined, "unknown"],
    ["unsent", "unknown"],
    [Symbol("unsent"), "unknown"],
  ];
  for (const [error, fate] of cases) {
    assertEquals(fateOf(error), fate, Deno.inspect(error));
  }
});

Deno.test("A fate that an error has of its own counts more than what it holds", () => {
  const error = Object.assign(around(unsent), { fate: "executed" });
  assertEquals(fateOf(error), "executed");
  assertEquals(fateOf(withFate(error, "unknown")), "executed");
});

Deno.test("withFate keeps what an error is, and leaves alone what is not to be changed", () => {
  const error = new TypeError("bad argument");
  assertEquals(withFate(error, "unsent"), error);
  assertEquals(withFate(error, "unknown"), error); // once
  assertEquals((error as { fate?: Fate }).fate, "unsent");
  assert(error.stack!.startsWith("TypeError: bad argument\n    at "));
  assertEquals(error.stack!.match(/fate: /g)?.length, 1);
  error.stack = "mine";
  assertEquals(error.stack, "mine");
  const frozen = Object.freeze(new Error("frozen"));
  assertEquals(fateOf(withFate(frozen, "unsent")), "unknown");
  assertEquals(withFate("text", "unsent"), "text");
});

/** Errors as clients reject with them. */
async function rejections(): Promise<Map<string, [unknown, Fate]>> {
  const found = new Map<string, [unknown, Fate]>();
  const note = async (name: string, fate: Fate, call: () => unknown) => {
    const error = await assertRejects(async () => await call());
    found.set(name, [error, fate]);
  };
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using redis = new Redis(proxy.url, {
    maxConnections: 1,
    checkoutTimeoutMs: 50,
    replyTimeoutMs: 2000,
  });
  const once = { retry: false } as const;
  await note("TypeError", "unsent", () => redis.send(["SELECT", 1]));
  await note(
    "option",
    "unsent",
    () => redis.send(["GET"], { no: 1 } as object),
  );
  await note("pipeline", "unsent", () => redis.pipeline([["SELECT", 1]]));
  await note("list", "unsent", () => redis.pipeline(1 as never));
  const bad = ["SET", "k", null] as unknown as Command;
  await note("argument", "unsent", () => redis.send(bad));
  await note("lease", "unsent", () => redis.lease({ no: 1 } as object));
  await note(
    "blocking",
    "unsent",
    () => redis.send(["BLPOP", "k", 1], { no: 1 } as object),
  );
  await note("CommandError", "unsent", () => redis.send(["GET"]));
  await redis.send(["SET", "text", "value"]);
  await note("answer", "executed", () => redis.send(["INCR", "text"]));
  const lease = await redis.lease();
  await note("leased", "executed", () => lease.send(["INCR", "text"]));
  await note("leased argument", "unsent", () => lease.send(bad));
  await note("checkout", "unsent", () => redis.send(["PING"], once));
  await note(
    "checkouts",
    "unsent",
    () => redis.send(["PING"], { retry: new Retry({ retries: 1 }) }),
  );
  await note("leases", "unsent", () => redis.lease());
  proxy.cut(0, { scope: "open" });
  await note("leased loss", "unknown", () => lease.send(["INCR", "n"]));
  lease.release();
  await note("released", "unsent", () => lease.send(["INCR", "n"]));
  await redis.send(["PING"]);
  proxy.cut(0, { scope: "open" });
  await note("loss", "unknown", () => redis.send(["INCR", "n"], once));
  await redis.send(["RPUSH", "list", "a"]);
  proxy.cut(0, { scope: "open" });
  await note(
    "blocking loss",
    "unknown",
    () => redis.send(["BLPOP", "list", 1]),
  );
  await proxy.refuse();
  await proxy.killAll("fin");
  while (redis.stats().open > 0) await new Promise((r) => setTimeout(r, 5));
  await note("dial", "unsent", () => redis.send(["PING"], once));
  await note("given up", "unsent", () => redis.send(["PING"]));
  const pop: Command = ["BLPOP", "list", 1];
  await note("blocking dial", "unsent", () => redis.send(pop, once));
  await note("blocking given up", "unsent", () => redis.send(pop));
  await note(
    "deadline",
    "unsent",
    () => redis.send(["PING"], { deadlineMs: 1 }),
  );
  await redis.close();
  await note("closed", "unsent", () => redis.send(["PING"]));
  await note("closed lease", "unsent", () => redis.lease());
  return found;
}

Deno.test("Every error that a client rejects with has its fate, and so have its copies", async () => {
  for (const [name, [error, fate]] of await rejections()) {
    assertEquals((error as { fate?: Fate }).fate, fate, name);
    assertEquals(fateOf(error), fate, name);
    assertEquals(fateOf(structuredClone(error)), fate, name);
    assertEquals(fateOf(structuredClone(around(error))), fate, name);
    const { port1, port2 } = new MessageChannel();
    const arrived = new Promise((resolve) =>
      port2.onmessage = ({ data }) => resolve(data)
    );
    port1.postMessage(error);
    assertEquals(fateOf(await arrived), fate, name);
    port1.close();
    port2.close();
  }
});

Deno.test("A copy that has lost its stack is unknown", () => {
  const copy = structuredClone(
    withFate(new DialError("a:1", "connect", "no"), "unsent"),
  );
  assertEquals(fateOf(copy), "unsent");
  copy.stack = copy.stack!.slice(0, -2);
  assertEquals(fateOf(copy), "unknown");
});

Deno.test("Errors that no client has thrown yet know their fate, too", () => {
  const cases: [Error, Fate][] = [
    [new DialError("a:1", "connect", "no"), "unsent"],
    [new CheckoutTimeoutError("no"), "unsent"],
    [new ClosedError("no"), "unsent"],
    [new ReplyError("MOVED 1 a:1"), "unsent"],
    [new ReplyError("WRONGTYPE no"), "executed"],
    [new ReplyError("upstream failure"), "unknown"],
  ];
  for (const [error, fate] of cases) assertEquals(fateOf(error), fate);
});

Deno.test("One abort reason that ended several calls stands for the worst of them", () => {
  const reason = new DialError("elsewhere:1", "connect", "refused");
  noteAbort(reason, "unsent");
  assertEquals(fateOf(reason), "unsent");
  noteAbort(reason, "unknown");
  assertEquals(fateOf(reason), "unknown");
  noteAbort(reason, "unsent");
  assertEquals(fateOf(reason), "unknown");
  assertEquals(fateOf(around(reason)), "unknown");
});

/** Aborts a call after `act` has come about, and returns what the reason says then. */
async function abortedBy<Reason>(
  reason: Reason,
  call: (signal: AbortSignal) => Promise<unknown>,
  act: () => unknown = () => {},
): Promise<Fate> {
  const leaver = new AbortController();
  const called = call(leaver.signal).then(
    () => assert(false, "it was answered"),
    (error) => error,
  );
  await act();
  leaver.abort(reason);
  const error = await called;
  assert(Object.is(error, reason), "the reason is thrown as it is");
  return fateOf(error);
}

const pause = (ms: number) => () => new Promise((r) => setTimeout(r, ms));

Deno.test("An abort says unsent before anything was written, and unknown after that", async () => {
  await using server = await startRedis();
  const isOpen = Promise.withResolvers<void>();
  await using redis = new Redis(server.url, {
    dial: async (endpoint, options) => {
      await isOpen.promise;
      return dial(endpoint, options);
    },
  });
  const calls: ((signal: AbortSignal) => Promise<unknown>)[] = [
    (signal) => redis.send(["INCR", "n"], { signal }),
    (signal) => redis.pipeline([["INCR", "n"], ["INCR", "n"]], { signal }),
  ];
  for (const call of calls) {
    const frozen = Object.freeze(new Error("waiting"));
    assertEquals(await abortedBy(frozen, call, pause(5)), "unsent");
    const before = () => call(AbortSignal.abort(reason));
    const reason = Object.freeze(new Error("before"));
    assertEquals(fateOf(await assertRejects(before)), "unsent");
  }
  const lease = (signal: AbortSignal) => redis.lease({ signal });
  assertEquals(
    await abortedBy(Object.freeze(new Error("lease")), lease, pause(5)),
    "unsent",
  );
  isOpen.resolve();
  await redis.send(["PING"]);
  server.freeze();
  for (const call of calls) {
    const frozen = Object.freeze(new Error("in flight"));
    assertEquals(await abortedBy(frozen, call, pause(5)), "unknown");
    assertEquals(await abortedBy("in flight", call, pause(5)), "unknown");
    assertEquals(await abortedBy(7, call, pause(5)), "unknown");
    assertEquals(await abortedBy(new TypeError("mine"), call), "unknown");
  }
  server.thaw();
});

Deno.test("The reason of an abort is not changed", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await redis.send(["PING"]);
  server.freeze();
  const reason = new Error("mine");
  const { stack } = reason;
  await abortedBy(reason, (signal) => redis.send(["INCR", "n"], { signal }));
  await abortedBy(
    reason,
    (signal) => redis.send(["BLPOP", "n", 1], { signal }),
  );
  server.thaw();
  assertEquals(reason.stack, stack);
  assert(!("fate" in reason));
  assertEquals(fateOf(reason), "unknown");
});

Deno.test("An abort between two attempts says what became of those before", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const sleeping: (() => void)[] = [];
  const retry = new Retry({
    sleep: (_, signal) =>
      new Promise((_, reject) => {
        sleeping.shift()?.();
        signal?.addEventListener("abort", () => reject(signal.reason));
      }),
  });
  await using redis = new Redis(proxy.url, { retry, maxConnections: 1 });
  const asleep = () => new Promise<void>((resolve) => sleeping.push(resolve));
  await redis.send(["PING"]);
  proxy.cut(2, { scope: "open" }); // inside the reply: not replayed at once
  const set = (signal: AbortSignal) =>
    redis.send(["SET", "k", "v"], { signal });
  let sleeps = asleep();
  assertEquals(
    await abortedBy(new Error("after a loss"), set, () => sleeps),
    "unknown",
  );
  await proxy.refuse();
  sleeps = asleep();
  assertEquals(
    await abortedBy(new Error("after a dial"), set, () => sleeps),
    "unsent",
  );
});

Deno.test("A pipeline of which a part was pushed when a command could not be is unknown", async () => {
  for (const [fails, fate] of [[0, "unsent"], [1, "unknown"]] as const) {
    let pushed = 0;
    const right = {
      connection: {},
      push: () => {
        if (pushed++ === fails) throw new TypeError("it cannot be encoded");
      },
    } as unknown as PushRight;
    const engine = { ended: () => {} } as unknown as CallEngine;
    const outcome = new Promise<unknown>((resolve, reject) =>
      new PipelineCall(
        engine,
        [["SET", "a", 1], ["SET", "b", 1]],
        {},
        resolve,
        reject,
      ).sendOn(right)
    );
    const error = await assertRejects(() => outcome, TypeError);
    assertEquals(fateOf(error), fate);
  }
});
