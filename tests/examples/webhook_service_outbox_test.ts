// That the example service keeps what it has answered 202 beyond its end, by signals and by crashes.
//
// SEED=1 repeats a run. SEARCH=9 makes it 5,400 events and ten kills.

import "../support/strict.ts";
import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { delay } from "@std/async/delay";
import { Random, searchLength } from "../support/random.ts";
import { startRedis } from "../support/redis_server.ts";
import { Folder } from "./folder.ts";
import { PostedEvents } from "./posted_events.ts";
import { RunningService, type RunOptions } from "./running_service.ts";

const EVENTS = searchLength(600);
const KILLS = Math.min(10, Math.ceil(EVENTS / 200));

Deno.test(
  "Webhook service loses no event of an outage to kill -9, and counts none twice",
  {
    timeout: searchLength(120_000),
  },
  async () => {
    const random = new Random();
    await using server = await startRedis();
    await using folder = new Folder();
    await server.stop();
    const events = new PostedEvents();
    for (let kill = 1; kill <= KILLS; kill++) {
      await using service = await RunningService.start(
        server.url,
        folder.options,
      );
      const last = 1 + random.below(2 * EVENTS / KILLS);
      await events.post(service.url, EVENTS, (answers) => {
        if (answers === last) {
          setTimeout(() => service.kill(), random.below(10));
        }
      });
    }
    await using service = await RunningService.start(
      server.url,
      folder.options,
    );
    await events.post(service.url, Math.max(50, EVENTS - events.promised));
    assertEquals([...events.answers.keys()].sort(), [202, undefined]);
    assertGreater(events.promised, EVENTS - 1);

    await server.start();
    await events.arrive(server.url);
    await service.drained();
    const { body } = await service.get("/healthz");
    assertEquals(body.lost, 0);
    assertEquals(await service.stop(), 0);

    await using next = await RunningService.start(server.url, folder.options);
    await next.drained();
    const { body: { sent } } = await next.get("/healthz");
    assertEquals(sent, 0, "what is recorded is removed");
    assertEquals((await events.check(server.url)).missing, 0);
  },
);

Deno.test(
  "Webhook service is killed while Redis comes and goes, and keeps every promise",
  {
    timeout: searchLength(120_000),
  },
  async () => {
    const random = new Random();
    await using server = await startRedis({ durable: true });
    await using folder = new Folder();
    const events = new PostedEvents();
    for (let kill = 1; kill <= KILLS; kill++) {
      await using service = await RunningService.start(
        server.url,
        folder.options,
      );
      const changes: Promise<void>[] = [];
      const last = 1 + random.below(2 * EVENTS / KILLS);
      await events.post(service.url, EVENTS, (answers) => {
        if (answers === Math.ceil(last / 2)) {
          changes.push(server.running ? server.stop() : server.start());
        }
        if (answers === last) {
          setTimeout(() => service.kill(), random.below(10));
        }
      });
      await Promise.all(changes);
    }
    if (!server.running) await server.start();
    await using service = await RunningService.start(
      server.url,
      folder.options,
    );
    await events.post(service.url, 50);
    await events.arrive(server.url);
    await service.drained();
    assertEquals(await service.stop(), 0);
    assertEquals((await service.lines()).filter(({ lost }) => lost), []);
  },
);

Deno.test("Webhook service ends in an outage with exit code 0, and the next process sends what it left", async () => {
  await using server = await startRedis();
  await using folder = new Folder();
  await server.stop();
  const events = new PostedEvents();
  {
    await using service = await RunningService.start(
      server.url,
      folder.options,
    );
    await events.post(service.url, 60);
    const startedAt = performance.now();
    assertEquals(await service.stop(), 0);
    assertLess(performance.now() - startedAt, 5000);
    const lines = await service.lines();
    assertEquals(
      lines.at(-1)!.message,
      "Stopped: 60 events are left in OUTBOX",
    );
    assertEquals(lines.at(-1)!.left, 60);
  }
  assertEquals([...events.answers], [[202, 60]]);
  {
    await using service = await RunningService.start(
      server.url,
      folder.options,
    );
    await delay(1500); // no request comes
    assertEquals(await service.stop(), 0);
    const line = (await service.lines())
      .find(({ message }) => message.includes("is being sent: "));
    assertEquals([line?.level, line?.restored, line?.pending], [
      "error",
      60,
      60,
    ]);
  }
  await server.start();
  await using service = await RunningService.start(server.url, folder.options);
  await events.arrive(server.url);
  await service.drained();
  assertEquals(await service.stop(), 0);
  const { message, restored } = (await service.lines()).at(-1)!;
  assertEquals([message, restored], [
    "What an earlier process has left is sent",
    60,
  ]);
});

Deno.test("Two webhook services share the sets, each with a store of its own, and take over from each other with a shared one", async () => {
  await using server = await startRedis();
  await using folder = new Folder();
  await server.stop();
  const shared: RunOptions = {
    env: { OUTBOX: `kv:${folder.file}` },
    flags: [
      "--unstable-kv",
      `--allow-read=${folder.path}`,
      `--allow-write=${folder.path}`,
    ],
  };
  const events = new PostedEvents();
  await using alone = await RunningService.start(server.url, {
    env: { OUTBOX: `${folder.path}/alone` },
  });
  {
    await using first = await RunningService.start(server.url, shared);
    await using second = await RunningService.start(server.url, shared);
    const post = ({ url }: RunningService) => events.post(url, 40);
    await Promise.all([first, second, alone].map(post));
  }
  assertEquals([...events.answers], [[202, 120]]);
  await server.start();
  await using third = await RunningService.start(server.url, shared);
  await using fourth = await RunningService.start(server.url, shared);
  await events.arrive(server.url);
  for (const service of [third, fourth, alone]) await service.drained();
  assertEquals(await events.check(server.url), { missing: 0, surplus: 0 });
});
