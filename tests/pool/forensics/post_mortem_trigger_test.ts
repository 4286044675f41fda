// A client that is asked to looks into how its connections died, and costs its callers nothing by it.

import "../../support/strict.ts";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { delay } from "@std/async/delay";
import { type CloseReport, Redis, type Verdict } from "../../../mod.ts";
import { PostMortemTrigger } from "../../../pool/forensics/post_mortem_trigger.ts";
import type { Connection } from "../../../pool/connection/connection.ts";
import { open } from "../../../pool/connection/open.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { ask } from "../../../pool/connection/ask.ts";
import { PushRight } from "../../../pool/connection/push_right.ts";
import { startProxy } from "../../support/fault_proxy.ts";
import { startRedis } from "../../support/redis_server.ts";

Deno.test("Redis names CLIENT KILL as the likely cause of a death, with its numbers", async () => {
  await using server = await startRedis();
  const { promise, resolve } = Promise.withResolvers<Verdict>();
  await using redis = new Redis(server.url, {
    postMortem: true,
    onVerdict: resolve,
  });
  await redis.send(["SET", "key", "value"]);
  await delay(1200); // the baseline must be older than the death
  await server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  assertEquals(await redis.send(["GET", "key"]), "value");
  const verdict = await promise;
  assertEquals([verdict.cause, verdict.confidence], ["client-kill", "likely"]);
  assertStringIncludes(verdict.text, "CLIENT KILL");
});

Deno.test("Redis without postMortem asks the server nothing on its own", async () => {
  await using server = await startRedis();
  const settingsAsked = async () => {
    const statistics = await server.cli("INFO", "commandstats");
    return /cmdstat_config\|get:calls=(\d+)/.exec(statistics)?.[1] ?? "0";
  };
  // Valkey 9 asks itself when it starts.
  const before = await settingsAsked();
  await using redis = new Redis(server.url);
  await redis.send(["PING"]);
  await server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await redis.send(["PING"]);
  assertEquals(await settingsAsked(), before);
});

/** The trigger of connections that the test opens and ends. */
class Bench implements AsyncDisposable {
  readonly verdicts: Verdict[] = [];
  readonly trigger: PostMortemTrigger = new PostMortemTrigger((verdict) =>
    this.verdicts.push(verdict)
  );
  readonly #opened: Connection[] = [];
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async open(): Promise<Connection> {
    const connection = await open(new Endpoint(this.#url), {
      dial,
      connectTimeoutMs: 5000,
      replyTimeoutMs: 5000,
      number: this.#opened.length + 1,
      signal: new AbortController().signal,
    });
    this.#opened.push(connection);
    return connection;
  }

  /** Opens a connection that is shared from its start; its probes are answered. */
  async share(): Promise<Connection> {
    const connection = await this.open();
    this.trigger.onOpen(new PushRight(connection));
    await delay(50);
    return connection;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#opened) connection.close();
    await delay(0);
  }
}

Deno.test("A death is kept for the next connection where the first one has changed hands", async () => {
  // The post-mortem's clock is put forward below.
  const { now } = Date;
  let aheadMs = 0;
  Date.now = () => now() + aheadMs;
  using _clock = { [Symbol.dispose]: () => void (Date.now = now) };
  await using server = await startRedis();
  await using bench = new Bench(server.url);
  await bench.trigger.ready;
  const connection = await bench.share();
  const clientId = connection.identity!.clientId!;
  await server.cli("CLIENT", "KILL", "ID", clientId);
  while (connection.report === undefined) await delay(5);
  bench.trigger.onClose(connection.report, connection);

  const leased = await bench.open();
  const right = new PushRight(leased);
  right.revoke();
  bench.trigger.onOpen(right);
  await delay(50);
  assertEquals([leased.served, bench.verdicts], [0, []]);

  await bench.share();
  assertEquals(bench.verdicts.map(({ cause }) => cause), ["client-kill"]);
  // And then it is done with, also when another look is due.
  aheadMs = 10_000;
  await bench.share();
  assertEquals(bench.verdicts.length, 1);
});

Deno.test("What others did in a silence is taken down when it ends", async () => {
  await using server = await startRedis({
    config: { "rename-command CLIENT": '""' },
  });
  await using proxy = await startProxy({ target: server });
  await using bench = new Bench(proxy.url);
  await bench.trigger.ready;
  const connection = await bench.share();
  proxy.silence({ scope: "open" });
  proxy.pass({ scope: "new" });
  const other = await bench.share();
  const lost = ask(connection, ["PING"]).catch(() => {});
  const use = async () => {
    for (let i = 0; i < 4; i++) {
      await delay(100);
      await ask(other, ["PING"]);
    }
  };
  await use();
  connection.timeOut("no byte came");
  bench.trigger.onClose(connection.report!, connection);
  await lost;
  await use(); // so that its last byte is none of the silence
  await bench.share();
  assertStringIncludes(bench.verdicts[0]!.text, "1 other answered meanwhile");
});

Deno.test("An end by our own wish is looked into only where the server made us wish it", async () => {
  await using server = await startRedis();
  const cases: [Partial<CloseReport>, verdicts: number][] = [
    [{ cause: "max-age" }, 0],
    [{ cause: "readonly" }, 1],
    [{ cause: "connect timeout", during: "handshake" }, 1],
    [{ by: "server", how: "fin" }, 1],
  ];
  for (const [more, verdicts] of cases) {
    await using bench = new Bench(server.url);
    await bench.trigger.ready;
    const connection = await bench.share();
    connection.close("max-age");
    bench.trigger.onClose({ ...connection.report!, ...more }, connection);
    await bench.share();
    assertEquals(bench.verdicts.length, verdicts, JSON.stringify(more));
  }
});

Deno.test("Of several deaths the first is looked into", async () => {
  await using server = await startRedis();
  await using bench = new Bench(server.url);
  await bench.trigger.ready;
  const connections = [await bench.share(), await bench.share()];
  for (const connection of connections) {
    connection.close();
    bench.trigger.onClose(
      { ...connection.report!, by: "server", how: "fin" },
      connection,
    );
  }
  await bench.share();
  assertEquals(
    bench.verdicts.map(({ report }) => report.connection),
    [connections[0]!.number],
  );
});

Deno.test("What has ended before the post-mortem is loaded harms nothing", async () => {
  await using server = await startRedis();
  await using bench = new Bench(server.url);
  const connection = await bench.share();
  bench.trigger.onFence(connection);
  connection.close();
  bench.trigger.onClose(
    { ...connection.report!, by: "server", how: "fin" },
    connection,
  );
  await bench.trigger.ready;
  await bench.share();
  assertEquals(bench.verdicts.length, 1);
});
