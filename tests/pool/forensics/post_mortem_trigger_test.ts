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
import { ask } from "../../../pool/connection/in_flight.ts";
import { PushRight } from "../../../pool/connection/push_right.ts";
import { startProxy } from "../../support/fault_proxy.ts";
import { startRedis } from "../../support/redis_server.ts";

Deno.test("Redis names CLIENT KILL as the likely cause of an end, with its numbers", async () => {
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
class Setup implements AsyncDisposable {
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

Deno.test("An end waits for the next connection where the first one has changed hands", async () => {
  // The post-mortem's clock is put forward below.
  const { now } = Date;
  let aheadMs = 0;
  Date.now = () => now() + aheadMs;
  using _clock = { [Symbol.dispose]: () => void (Date.now = now) };
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const connection = await setup.share();
  const clientId = connection.identity!.clientId!;
  await server.cli("CLIENT", "KILL", "ID", clientId);
  while (connection.report === undefined) await delay(5);
  setup.trigger.onClose(connection.report, connection);

  const leased = await setup.open();
  const right = new PushRight(leased);
  right.revoke();
  setup.trigger.onOpen(right);
  await delay(50);
  assertEquals([leased.served, setup.verdicts], [0, []]);

  await setup.share();
  assertEquals(setup.verdicts.map(({ cause }) => cause), ["client-kill"]);
  // And then it is done with, also when another look is due.
  aheadMs = 10_000;
  await setup.share();
  assertEquals(setup.verdicts.length, 1);
});

Deno.test("What other connections did in a silence is noted when it ends", async () => {
  await using server = await startRedis({
    config: { "rename-command CLIENT": '""' },
  });
  await using proxy = await startProxy({ target: server });
  await using setup = new Setup(proxy.url);
  const connection = await setup.share();
  proxy.silence({ scope: "open" });
  proxy.pass({ scope: "new" });
  const other = await setup.share();
  const lost = ask(connection, ["PING"]).catch(() => {});
  const use = async () => {
    for (let i = 0; i < 4; i++) {
      await delay(100);
      await ask(other, ["PING"]);
    }
  };
  await use();
  connection.timeOut("no byte came");
  setup.trigger.onClose(connection.report!, connection);
  await lost;
  await use(); // so that its last byte is none of the silence
  await setup.share();
  assertStringIncludes(setup.verdicts[0]!.text, "1 other answered meanwhile");
});

Deno.test("An end that this client requested is investigated only where the server was the reason", async () => {
  await using server = await startRedis();
  const cases: [Partial<CloseReport>, verdicts: number][] = [
    [{ cause: "max-age" }, 0],
    [{ cause: "readonly" }, 1],
    [{ cause: "connect timeout", during: "handshake" }, 1],
    [{ by: "server", how: "fin" }, 1],
  ];
  for (const [more, verdicts] of cases) {
    await using setup = new Setup(server.url);
    const connection = await setup.share();
    connection.close("max-age");
    setup.trigger.onClose({ ...connection.report!, ...more }, connection);
    await setup.share();
    assertEquals(setup.verdicts.length, verdicts, JSON.stringify(more));
  }
});

Deno.test("Of several ends the first is investigated", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const connections = [await setup.share(), await setup.share()];
  for (const connection of connections) {
    connection.close();
    setup.trigger.onClose(
      { ...connection.report!, by: "server", how: "fin" },
      connection,
    );
  }
  await setup.share();
  assertEquals(
    setup.verdicts.map(({ report }) => report.connection),
    [connections[0]!.number],
  );
});

Deno.test("A connection that ends before the post-mortem is loaded harms nothing", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const connection = await setup.share();
  setup.trigger.onFence(connection);
  connection.close();
  setup.trigger.onClose(
    { ...connection.report!, by: "server", how: "fin" },
    connection,
  );
  await setup.share();
  assertEquals(setup.verdicts.length, 1);
});

Deno.test("What has ended gets its verdict as another server takes over, without another connection", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const [first, second] = [await setup.share(), await setup.share()];
  const served = first.served;
  await server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  for (const connection of [first, second]) {
    while (connection.report === undefined) await delay(5);
    setup.trigger.onClose(connection.report, connection);
  }
  setup.trigger.onTakeover("hash slots 0-5460 went to h:7004");
  assertEquals(
    setup.verdicts.map((
      { cause, confidence, report },
    ) => [cause, confidence, report.connection]),
    [["failover", "likely", first.number]],
  );
  assertStringIncludes(
    setup.verdicts[0]!.text,
    "a failover: hash slots 0-5460 went to h:7004",
  );
  assertEquals(first.served, served);
});

Deno.test("What ends after the takeover gets its verdict, too, and one is enough", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const connections = [await setup.share(), await setup.share()];
  setup.trigger.onTakeover("hash slots 0-5460 went to h:7004");
  assertEquals(setup.verdicts, []);
  for (const [i, connection] of connections.entries()) {
    connection.close("the test");
    setup.trigger.onClose(
      // What this client retires is no death.
      { ...connection.report!, ...i === 0 ? {} : { by: "server", how: "fin" } },
      connection,
    );
  }
  setup.trigger.onClose(
    { ...connections[0]!.report!, by: "server", how: "rst" },
    connections[0]!,
  );
  assertEquals(
    setup.verdicts.map(({ cause, report }) => [cause, report.how]),
    [["failover", "fin"]],
  );
});
