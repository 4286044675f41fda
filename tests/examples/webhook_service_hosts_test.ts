// That the example service is the same on Node and Bun as on Deno, installed as a user would: what it answers, and what it has promised when it is killed.
//
// SEED=1 repeats a run.

import "../support/strict.ts";
import { assert, assertEquals, assertGreater } from "@std/assert";
import {
  canPack,
  INSTALL_LIMIT_MS,
  Project,
} from "../support/published/project.ts";
import { Random } from "../support/random.ts";
import { startRedis } from "../support/redis_server.ts";
import { programForTests } from "../support/tools.ts";
import { Folder } from "./folder.ts";
import { PostedEvents } from "./posted_events.ts";
import { RunningService, type RunOptions } from "./running_service.ts";
import {
  answersOf,
  oddAnswersOf,
  statusesAtTheEnd,
} from "./service_answers.ts";

const HOSTS = {
  node22: "node.ts",
  node24: "node.ts",
  bun: "bun.ts",
  oldBun: "bun.ts",
} as const;
const NAMES = Object.keys(HOSTS) as (keyof typeof HOSTS)[];

const programs = Object.fromEntries(
  await Promise.all(
    NAMES.map(async (name) => [name, await programForTests(name)] as const),
  ),
);

/** A project with the module from npm, and the files of the service. */
async function projectWithService(): Promise<Project> {
  const project = await Project.create();
  for (const folder of ["", "/hosts", "/status_page"]) {
    await project.copy(
      `examples/webhook_service${folder}/`,
      `webhook_service${folder}`,
    );
  }
  return project;
}

/** What the service answers to everything, until it is ended in good order. */
async function allAnswers(options: RunOptions): Promise<unknown[]> {
  await using server = await startRedis();
  await using service = await RunningService.start(server.url, {
    ...options,
    env: { LIMIT: 2, ADMIN_TOKEN: "secret" },
  });
  const { url } = service;
  const answers = [await answersOf(url), await oddAnswersOf(url)];
  assertEquals(await statusesAtTheEnd(service, server.url), [200]);
  const { code } = await service.process.status;
  assertEquals([code, await service.log], [0, ""]);
  return answers;
}

let answersOnDeno: Promise<unknown[]> | undefined;

for (const name of NAMES) {
  const { path, ignore } = programs[name]!;
  const test = (
    title: string,
    fn: (options: RunOptions) => Promise<void>,
  ): void =>
    Deno.test(
      `${title} on ${name}`,
      { ignore: ignore || !canPack, timeout: INSTALL_LIMIT_MS },
      async () => {
        await using project = await projectWithService();
        const command = [path, `webhook_service/hosts/${HOSTS[name]}`];
        await fn({ by: { command, cwd: project.folder } });
      },
    );

  test("Webhook service answers as it does on Deno", async (options) => {
    answersOnDeno ??= allAnswers({});
    assertEquals(await allAnswers(options), await answersOnDeno);
  });

  if (name === "node22" || name === "oldBun") continue; // what follows is the same there, and takes long

  test("Webhook service keeps every promise of an outage and of kill -9", async (options) => {
    const random = new Random();
    await using server = await startRedis({ durable: true });
    await using folder = new Folder();
    const kept = { ...options, ...folder.options };
    const events = new PostedEvents();
    for (const isAway of [false, true]) {
      await using service = await RunningService.start(server.url, kept);
      if (isAway) await server.stop();
      const last = 20 + random.below(100);
      await events.post(service.url, 150, (answers) => {
        if (answers === last) {
          setTimeout(() => service.kill(), random.below(10));
        }
      });
    }
    assertGreater(events.answers.get(200) ?? 0, 0);
    assertGreater(events.answers.get(202) ?? 0, 0);
    {
      // Deno takes the file over, and leaves it again.
      await using service = await RunningService.start(
        server.url,
        folder.options,
      );
      await events.post(service.url, 30);
      assertEquals(await service.stop(), 0); // in the outage
      const { message, left } = (await service.lines()).at(-1)!;
      assertEquals(message, `Stopped: ${left} events are left in OUTBOX`);
    }
    await server.start();
    await using service = await RunningService.start(server.url, kept);
    await events.arrive(server.url);
    await service.drained();
    assertEquals(await service.stop(), 0);
    assertEquals((await events.check(server.url)).missing, 0);
  });

  test("Webhook service says why it cannot start", async (options) => {
    await using listener = Deno.serve(
      { port: 0, onListen() {} },
      () => new Response(),
    );
    const { port } = listener.addr as Deno.NetAddr;
    for (
      const [env, expected] of [
        [{ PORT: port }, `Cannot start: Cannot listen on PORT ${port}: `],
        [{ OUTBOX: "kv" }, "Cannot start: Cannot use OUTBOX=kv: "],
        [{ LIMIT: "many" }, "Cannot start: Cannot use LIMIT: "],
      ] as const
    ) {
      const { code, lines } = await RunningService.refuses(
        "redis://127.0.0.1:1",
        { ...options, env },
      );
      assertEquals([code, lines.length], [2, 1]);
      assert(lines[0]!.message.startsWith(expected), lines[0]!.message);
    }
  });
}
