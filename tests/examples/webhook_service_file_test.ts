// That the example service survives what may happen to the file of its outbox, and says what it cannot use.
//
// SEED=1 repeats a run. SEARCH=10 makes it 40 cuts.

import "../support/strict.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { FileOutbox } from "../../recorder/stores/file/file_outbox.ts";
import { Random, searchLength } from "../support/random.ts";
import { startRedis } from "../support/redis_server.ts";
import { until } from "../support/wait.ts";
import { Folder } from "./folder.ts";
import { PostedEvents } from "./posted_events.ts";
import { RunningService } from "./running_service.ts";

/** Runs a program of root's without the right to write what is read-only. */
const AS_ANY_USER = [
  "setpriv",
  "--bounding-set=-dac_override,-dac_read_search",
];
/** Runs a program whose files cannot grow beyond 32 KiB. */
const WITH_LITTLE_ROOM = [
  "sh",
  "-c",
  `trap "" XFSZ; ulimit -f 64; exec "$0" "$@"`,
];

Deno.test(
  "Webhook service sends what a file holds that was cut at a random byte",
  {
    timeout: searchLength(120_000),
  },
  async () => {
    const random = new Random();
    await using server = await startRedis();
    await using folder = new Folder();
    await server.stop();
    /** How long the file was after each answer. */
    const sizes: number[] = [];
    {
      await using service = await RunningService.start(
        server.url,
        folder.options,
      );
      for (let i = 0; i < 30; i++) {
        const { status } = await service.post("/webhooks/mall/1/cut");
        assertEquals(status, 202);
        sizes.push(Deno.statSync(folder.file).size);
      }
    }
    assertEquals(sizes, sizes.toSorted((a, b) => a - b), "the file grows");
    const bytes = Deno.readFileSync(folder.file);
    await server.start();
    for (let i = 0; i < searchLength(4); i++) {
      const size = random.below(bytes.length + 1);
      await server.cli("FLUSHALL");
      Deno.writeFileSync(folder.file, bytes.subarray(0, size));
      const expected = sizes.filter((it) => it <= size).length;
      const found = async () =>
        Number(await server.cli("ZCARD", "webhook_frequency_mall_1_cut"));
      await using service = await RunningService.start(
        server.url,
        folder.options,
      );
      await until(async () => await found() >= expected, `cut at ${size}`);
      assertEquals(
        (await service.post("/webhooks/mall/1/cut")).body.status,
        "recorded",
      );
      assertEquals(await service.stop(), 0);
      assertEquals(await found(), expected + 1, `cut at ${size}`);
    }
  },
);

Deno.test("Webhook service says how many events are left when it ends, also of those that it has not read yet", async () => {
  await using folder = new Folder();
  const event = { mallId: "mall", shopNo: 1, eventType: "left" };
  const entries = Array.from({ length: 60_000 }, (_, n) => ({
    id: `${n}-x`,
    key: "webhook_frequency_mall_1_left",
    score: 1_780_000_000,
    members: [`${n}`],
    event,
  }));
  {
    await using outbox = await FileOutbox.open(folder.file);
    await outbox.append(entries);
  }
  await using service = await RunningService.start(
    "redis://127.0.0.1:1",
    folder.options,
  );
  assertEquals(await service.stop(), 0);
  const { message, left } = (await service.lines()).at(-1)!;
  assertEquals(message, "Stopped: 60000 events are left in OUTBOX");
  assertEquals(left, 60_000);
});

Deno.test("A second webhook service with the same file says who has it and ends, and the first goes on", async () => {
  await using server = await startRedis();
  await using folder = new Folder();
  await server.stop();
  await using first = await RunningService.start(server.url, folder.options);
  const events = new PostedEvents();
  await events.post(first.url, 20);
  const second = await RunningService.refuses(server.url, folder.options);
  assertEquals(second.code, 2);
  assertEquals(second.lines.map(({ level }) => level), ["error"]);
  assertStringIncludes(second.lines[0]!.message, folder.file);
  assertMatch(
    second.lines[0]!.message,
    new RegExp(`\\b${first.process.pid}\\b`),
  );
  await events.post(first.url, 20);
  await server.start();
  await events.arrive(server.url);
  assertEquals([...events.answers], [[202, 40]]);
});

Deno.test("Webhook service does not start with a file that it cannot write, and says why", async () => {
  await using folder = new Folder();
  Deno.writeTextFileSync(folder.file, "");
  Deno.chmodSync(folder.file, 0o444);
  const url = "redis://127.0.0.1:1";
  const readOnly = await RunningService.refuses(url, {
    ...folder.options,
    ...(Deno.uid() === 0 ? { through: AS_ANY_USER } : {}),
  });
  assertEquals(readOnly.code, 2);
  assertMatch(readOnly.lines[0]!.message, /^Cannot start: .*denied/);
  assertStringIncludes(readOnly.lines[0]!.message, folder.file);

  Deno.chmodSync(folder.file, 0o644);
  const foreign = "a letter, not an outbox\n".repeat(10);
  Deno.writeTextFileSync(folder.file, foreign);
  const other = await RunningService.refuses(url, folder.options);
  assertEquals(other.code, 2);
  assertStringIncludes(other.lines[0]!.message, folder.file);
  assertEquals(Deno.readTextFileSync(folder.file), foreign);

  const nowhere = await RunningService.refuses(url, {
    env: { OUTBOX: `${folder.path}/none/queued` },
  });
  assertEquals(nowhere.code, 2);
  assertStringIncludes(nowhere.lines[0]!.message, `${folder.path}/none`);

  const forbidden = await RunningService.refuses(url, {
    env: { OUTBOX: folder.file },
    flags: [`--deny-write=${folder.file}`],
  });
  assertEquals(forbidden.code, 2);
  assertEquals(forbidden.lines.map(({ level }) => level), ["error"]);
});

Deno.test("Webhook service answers 503 while its disk is full, and what it answered 202 before is sent", async () => {
  await using server = await startRedis();
  await using folder = new Folder();
  await server.stop();
  const events = new PostedEvents();
  {
    await using service = await RunningService.start(server.url, {
      ...folder.options,
      through: WITH_LITTLE_ROOM,
    });
    await events.post(service.url, 300);
    const { body } = await service.get("/healthz");
    assertEquals(body.lost, events.answers.get(503));
    await service.kill();
    const messages = (await service.lines()).map(({ message }) => message);
    const lost = messages.filter((it) =>
      it.startsWith("An event is not queued")
    );
    assertEquals(lost.length, 1, messages.join("\n"));
    assertStringIncludes(lost[0]!, "File too large");
  }
  assertEquals([...events.answers.keys()].sort(), [202, 503]);
  await server.start();
  await using service = await RunningService.start(server.url, folder.options);
  await events.arrive(server.url);
  await service.drained();
  assertEquals(await events.check(server.url), { missing: 0, surplus: 0 });
});

Deno.test("Webhook service does not start with a wrong REDIS_URL, names it, and shows no password", async () => {
  const url = "http://:secret@127.0.0.1";
  const { code, lines } = await RunningService.refuses(url);
  assertEquals([code, lines.length], [2, 1]);
  const { message } = lines[0]!;
  assertMatch(message, /^Cannot start: Cannot use REDIS_URL: its scheme is /);
  assertEquals(message.includes("secret"), false);
});

Deno.test("Webhook service says which variables have no effect without LIMIT", async () => {
  await using service = await RunningService.start("redis://127.0.0.1:1", {
    env: { ADMIN_TOKEN: "t", BLOCK_SECONDS: 5 }, // the token is that of /status, too
  });
  await service.get("/healthz");
  assertEquals(await service.stop(), 0);
  const messages = (await service.lines()).map(({ message }) => message);
  const line = "No shop is blocked without LIMIT: BLOCK_SECONDS has no effect";
  assertEquals(messages.filter((message) => message === line).length, 1);
});
