// What a recorder makes of refusals: which end an event, and which are waited for.
import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  DialError,
  fateOf,
  Redis,
  type RedisOptions,
  ReplyError,
  RetryError,
  type Sender,
  WebhookRecorder,
} from "../../mod.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { type RedisServer, startRedis } from "../support/redis_server.ts";
import {
  cardinality,
  Counting,
  EVENT,
  KEY,
  keyOfShop,
  NOWHERE,
  ofShop,
  Told,
} from "./doubles.ts";

/** Records with options of the client that Redis refuses. */
async function refused(
  server: RedisServer,
  url: string,
  options: RedisOptions = {},
) {
  await using redis = new Redis(url, options);
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, { onError: told.onError });
  const outcome = await recorder.record(EVENT);
  await recorder.flush({ signal: AbortSignal.timeout(2000) });
  const again = await recorder.record(ofShop(8));
  const inspected = Deno.inspect(recorder);
  assertEquals([outcome.status, again.status], ["dropped", "dropped"]);
  assertEquals(told.lines, ["dropped 7", "dropped 8"]);
  assertEquals(told.calls[0]!.error, outcome.error);
  assertEquals(recorder.pending, 0);
  assertEquals(recorder.stats().dropped, 2);
  assert(!inspected.includes("is away"), inspected);
  assertStringIncludes(inspected, "2 lost");
  assertEquals(await server.cli("DBSIZE"), "0");
  return { ...outcome, inspected };
}

Deno.test("What no later attempt changes is dropped, told once, and holds up no flush", async () => {
  await using server = await startRedis({ password: "s3cret" });
  const { port } = server;
  const say = (...words: string[]) => server.cli("ACL", "SETUSER", ...words);
  const base = `127.0.0.1:${port}`;
  {
    const { error, inspected } = await refused(server, `redis://:no@${base}`);
    assertInstanceOf(error, DialError);
    assertStringIncludes(inspected, "WRONGPASS");
    assertMatch(inspected, /unusable by this client for \d/);
  }
  {
    const { inspected } = await refused(server, `redis://${base}`);
    assertStringIncludes(inspected, "NOAUTH");
  }
  await say("a", "on", ">pw", "~other_*", "+@all");
  const a = await refused(server, `redis://a:pw@${base}`);
  assertEquals((a.error as ReplyError).code, "NOPERM");
  await say("b", "on", ">pw", "~*", "+@all", "-zadd");
  const b = await refused(server, `redis://b:pw@${base}`);
  assertEquals((b.error as ReplyError).code, "NOPERM");
  assertEquals(fateOf(b.error), "unsent");
});

/** A node of a cluster, whose bus has a port of its own. */
function startNode(): Promise<RedisServer> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return startRedis({
    config: {
      "cluster-enabled": "yes",
      "cluster-port": port,
      "cluster-require-full-coverage": "no",
    },
  });
}

Deno.test("A node of a cluster that has not the key says so, and the event is dropped", async () => {
  await using server = await startNode();
  await using other = await startNode();
  const bus = async (node: RedisServer) =>
    (await node.cli("CONFIG", "GET", "cluster-port")).split("\n")[1]!;
  const slot = Number(await server.cli("CLUSTER", "KEYSLOT", KEY));
  await server.cli("CLUSTER", "ADDSLOTSRANGE", 0, slot - 1, slot + 1, 16383);
  await other.cli("CLUSTER", "ADDSLOTS", slot);
  await server.cli(
    "CLUSTER",
    "MEET",
    "127.0.0.1",
    other.port,
    await bus(other),
  );
  await using redis = new Redis(server.url);
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, { onError: told.onError });
  const says = () => server.cli("ZCARD", KEY).catch((error) => `${error}`);
  while (!(await says()).includes("MOVED")) await delay(50);
  const [moved, here] = await Promise.all([
    recorder.record(EVENT),
    recorder.record(ofShop(8)),
  ]);
  assertEquals([moved.status, here.status], ["dropped", "recorded"]);
  assertMatch(`${moved.error}`, /MOVED .*this server is a node of a cluster/);
  assertEquals((await recorder.record(EVENT)).status, "dropped");
  assertEquals(told.lines, ["dropped 7", "dropped 7"]);
  await recorder.flush();
});

Deno.test("A permission that is missing is a drop, too", async () => {
  const program = `
    import { Redis, WebhookRecorder } from ${
    JSON.stringify(new URL("../../mod.ts", import.meta.url).href)
  };
    await using redis = new Redis("redis://127.0.0.1:6390");
    await using recorder = new WebhookRecorder(redis);
    const { status } = await recorder.record(${JSON.stringify(EVENT)});
    await recorder.flush();
    console.log(status, recorder.pending);
  `;
  const { importFlags } = await import("../support/imports.ts");
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--no-check",
      "--quiet",
      ...importFlags,
      `data:application/typescript,${encodeURIComponent(program)}`,
    ],
    env: { NO_COLOR: "1" },
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "dropped 0\n");
});

Deno.test("A refusal of one key says nothing of the others", async () => {
  await using server = await startRedis();
  const user = ["ACL", "SETUSER", "app", "on", ">pw", "+@all"];
  await server.cli(...user, "~webhook_frequency_mall_8_*");
  await using redis = new Redis(`redis://app:pw@127.0.0.1:${server.port}`);
  await using recorder = new WebhookRecorder(redis, { outboxCapacity: 10 });
  for (let i = 0; i < 20; i++) {
    assertEquals((await recorder.record(EVENT)).status, "dropped");
    assertEquals((await recorder.record(ofShop(8))).status, "recorded");
  }
  const together = await Promise.all([
    recorder.record(EVENT),
    recorder.record(ofShop(8)),
  ]);
  assertEquals(together.map(({ status }) => status), ["dropped", "recorded"]);
  assertEquals(recorder.pending, 0);
  assertEquals(await cardinality(server, keyOfShop(8)), 21);
});

Deno.test("While memory is short for one event, others are recorded at once", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  sender.answer = ([, key]) =>
    key === KEY ? new ReplyError("OOM command not allowed") : undefined;
  await using recorder = new WebhookRecorder(sender);
  assertEquals((await recorder.record(EVENT)).status, "queued");
  assertEquals((await recorder.record(ofShop(8))).status, "recorded");
  assertEquals(recorder.pending, 1);
  sender.answer = () => undefined;
  await recorder.flush();
  assertEquals(await cardinality(server), 1);
});

Deno.test("An event that is refused again and again is given up after a quarter of an hour", async () => {
  const { now } = performance;
  let late = 0;
  performance.now = () => now.call(performance) + late;
  try {
    let calls = 0;
    const sender: Sender = {
      ...NOWHERE,
      send: () => Promise.reject(new ReplyError("OOM command not allowed")),
      pipeline: (commands) => {
        calls++;
        return Promise.resolve(
          commands.map(() => new ReplyError("OOM command not allowed")),
        );
      },
    };
    const told = new Told();
    await using recorder = new WebhookRecorder(sender, {
      onError: told.onError,
    });
    const attempt = async () => {
      const before = calls;
      while (calls === before && recorder.pending > 0) {
        await recorder.flush({ signal: AbortSignal.timeout(5) }).catch(
          () => {},
        );
      }
    };
    sender.send = (command) =>
      sender.pipeline([command]).then(([r]) => {
        throw r;
      });
    assertEquals((await recorder.record(EVENT)).status, "queued");
    for (let i = 0; i < 30; i++) await attempt();
    assertEquals(recorder.pending, 1); // often enough, but not for long enough
    late = 890_000;
    await attempt();
    assertEquals(recorder.pending, 1);
    assertMatch(`${recorder.stats().reason}`, /^Redis has refused to record/);
    late = 901_000;
    await attempt();
    assertEquals(recorder.pending, 0);
    assertEquals(told.lines, ["queued 7", "dropped 7"]);

    assertEquals((await recorder.record(EVENT)).status, "queued");
    await attempt();
    late += 1_000_000;
    await attempt();
    assertEquals(recorder.pending, 1); // for long enough, but not often enough
    for (let i = 0; i < 10; i++) await attempt();
    assertEquals(recorder.pending, 0);
  } finally {
    performance.now = now;
  }
});

Deno.test("What was queued outlives a password that is wrong for a moment, and not for long", async () => {
  await using right = await startRedis({ password: "right" });
  await using wrong = await startRedis({ password: "other" });
  await using proxy = await startProxy({ target: right });
  await using redis = new Redis(proxy.url, { password: "right", retry: false });
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, { onError: told.onError });
  const outage = async (backTo: RedisServer) => {
    await proxy.refuse();
    await proxy.killAll("rst");
    assertEquals((await recorder.record(EVENT)).status, "queued");
    proxy.retarget(backTo);
    await proxy.accept();
  };
  await outage(wrong);
  while (!`${recorder.stats().reason}`.includes("WRONGPASS")) await delay(5);
  assertMatch(`${recorder.stats().reason}`, /unusable by this client/);
  assertEquals(recorder.pending, 1);
  proxy.retarget(right);
  await recorder.flush();
  assertEquals(await cardinality(right), 1);
  assertEquals(told.lines, ["queued 7"]);

  told.calls.length = 0;
  await outage(wrong);
  await recorder.flush({ signal: AbortSignal.timeout(10_000) });
  assertEquals(recorder.pending, 0);
  assertEquals(told.lines, ["queued 7", "dropped 7"]);
  assertMatch(
    `${told.calls[1]!.error}`,
    /^Error: 1 event is lost: .*WRONGPASS/,
  );
});

Deno.test("Denials count in a row: a moment of success is a new beginning", async () => {
  const denied = new DialError("nowhere:1", "handshake", "WRONGPASS", {
    isRetriable: false,
  });
  const gone = new Error("gone");
  // One for the first attempt, then those of the outbox.
  let answers: (Error | undefined)[] = [];
  const sender: Sender = {
    ...NOWHERE,
    send: () => {
      const error = answers.shift();
      return error === undefined ? Promise.resolve(1) : Promise.reject(error);
    },
    pipeline: (commands) =>
      sender.send(["PING"]).then(() => commands.map(() => 1)),
  };
  const told = new Told();
  await using recorder = new WebhookRecorder(sender, {
    onError: told.onError,
  });
  for (let i = 0; i < 3; i++) {
    answers = [gone, denied, denied, denied];
    assertEquals((await recorder.record(EVENT)).status, "queued");
    while (recorder.pending > 0) {
      await recorder.flush({ signal: AbortSignal.timeout(5) }).catch(() => {});
    }
  }
  assertEquals(told.lines, ["queued 7", "queued 7", "queued 7"]);
  answers = [gone, denied, denied, gone, denied, denied, denied, denied];
  await recorder.record(EVENT);
  while (recorder.pending > 0) {
    await recorder.flush({ signal: AbortSignal.timeout(5) }).catch(() => {});
  }
  assertEquals(recorder.stats().dropped, 0);
});

Deno.test("Refusals of some events do not slow down the others of the outbox", async () => {
  let isAway = true;
  const sender: Sender = {
    ...NOWHERE,
    send: () => Promise.reject(new Error("gone")),
    pipeline: (commands) =>
      isAway ? Promise.reject(new Error("gone")) : Promise.resolve(
        commands.map(([, key]) => key === KEY ? new ReplyError("OOM no") : 1),
      ),
  };
  const recorder = new WebhookRecorder(sender, {
    outboxCapacity: 40_000,
  });
  const outcomes = await Promise.all(
    Array.from(
      { length: 40_000 },
      (_, i) => recorder.record(i % 500 === 0 ? EVENT : ofShop(100 + i)),
    ),
  );
  assert(outcomes.every(({ status }) => status === "queued"));
  isAway = false;
  recorder.flush();
  const startedAt = performance.now();
  while (recorder.pending > 80) await delay(5);
  assertLess(performance.now() - startedAt, 2500); // no waits between chunks
  assertEquals(recorder.pending, 80);
  await recorder.close({ drainMs: 0 });
});

Deno.test("What counts is what the last attempt of a call failed with", async () => {
  const denied = new DialError("nowhere:1", "handshake", "WRONGPASS", {
    isRetriable: false,
  });
  const loading = new DialError("nowhere:1", "handshake", "LOADING", {
    cause: new ReplyError("LOADING Redis is loading"),
  });
  const sender: Sender = {
    ...NOWHERE,
    send: () => Promise.reject(new RetryError([new Error("gone"), denied])),
    pipeline: () => Promise.reject(loading),
  };
  const recorder = new WebhookRecorder(sender);
  assertEquals((await recorder.record(EVENT)).status, "dropped");
  sender.send = () => Promise.reject(new RetryError([denied, loading]));
  assertEquals((await recorder.record(EVENT)).status, "queued");
  for (const error of [new TypeError("no"), new RangeError("too long")]) {
    const { send } = sender;
    sender.send = () => Promise.reject(error);
    const other = new WebhookRecorder(sender);
    assertEquals((await other.record(EVENT)).status, "dropped");
    sender.send = send;
  }
  // A server that says that it is loading is not away.
  assertMatch(`${recorder.stats().reason}`, /^Redis has refused to record/);
  await recorder.close({ drainMs: 0 });
});
