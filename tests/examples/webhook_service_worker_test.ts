// That the example service is the same as a Worker, bundled by wrangler and run by workerd: what it answers, and what it has promised when it is killed.

import "../support/strict.ts";
import { assert, assertEquals, assertGreater } from "@std/assert";
import worker from "../../examples/webhook_service/hosts/worker.ts";
import {
  canPack,
  INSTALL_LIMIT_MS,
  Project,
} from "../support/published/project.ts";
import { type RedisServer, startRedis } from "../support/redis_server.ts";
import { toolModules } from "../support/tools.ts";
import { ignore as hasNoWorkerd, Workerd } from "../support/workerd.ts";
import { PostedEvents } from "./posted_events.ts";
import { RunningService } from "./running_service.ts";
import { answersOf } from "./service_answers.ts";

const options = {
  ignore: hasNoWorkerd || !canPack,
  timeout: INSTALL_LIMIT_MS,
};
const FOLDER = "webhook_service/hosts";

let bundle: Promise<{ code: string; log: string }> | undefined;

/** What wrangler would upload, and what it says. */
async function makeBundle(): Promise<{ code: string; log: string }> {
  await using project = await Project.create();
  for (const folder of ["", "/hosts", "/status_page"]) {
    await project.copy(
      `examples/webhook_service${folder}/`,
      `webhook_service${folder}`,
    );
  }
  const { out, log } = await project.run("node24", [
    `${toolModules}wrangler/bin/wrangler.js`,
    "deploy",
    "--dry-run",
    "--outdir=bundle",
    `--config=${FOLDER}/wrangler.jsonc`,
  ], { HOME: project.folder, WRANGLER_SEND_METRICS: "false" });
  const path = `${project.folder}/${FOLDER}/bundle/worker.js`;
  return { code: await Deno.readTextFile(path), log: out + log };
}

async function startWorker(
  server: RedisServer,
  texts: Record<string, string> = {},
): Promise<Workerd> {
  const { code } = await (bundle ??= makeBundle());
  return await Workerd.start({
    workers: [{
      name: "main",
      code,
      texts: { REDIS_URL: server.url, ...texts },
      durableObjects: { WEBHOOKS: "WebhookService" },
    }],
  });
}

Deno.test(
  "Wrangler bundles the webhook service without a warning",
  options,
  async () => {
    const { log } = await (bundle ??= makeBundle());
    assert(log.includes("env.WEBHOOKS (WebhookService)"), log);
    assert(!/warning|error/i.test(log), log);
  },
);

Deno.test(
  "Webhook service answers as it does on Deno as a Worker",
  options,
  async () => {
    const settings = { LIMIT: "2", ADMIN_TOKEN: "secret" };
    await using server = await startRedis();
    await using service = await RunningService.start(server.url, {
      env: settings,
    });
    const expected = await answersOf(service.url);
    await server.cli("FLUSHALL");
    await using worker = await startWorker(server, settings);
    assertEquals(await answersOf(worker.url), expected);
  },
);

Deno.test(
  "Webhook service keeps every promise of an outage and of kill -9 as a Worker, and nothing asks it to",
  options,
  async () => {
    await using server = await startRedis({ durable: true });
    await using worker = await startWorker(server);
    const events = new PostedEvents();
    await events.post(worker.url, 60);
    await server.stop();
    await events.post(worker.url, 120, (answers) => {
      if (answers === 90) worker.kill();
    });
    assertEquals([...events.answers.keys()].sort(), [200, 202, undefined]);
    assertGreater(events.answers.get(202)!, 80);
    await server.start();
    await worker.start();
    await events.arrive(server.url); // by the alarm
    assertEquals((await events.check(server.url)).missing, 0);
    await events.post(worker.url, 10);
    assertEquals((await events.check(server.url)).missing, 0);
  },
);

Deno.test("Each mall has an object of its own, and all else shares one", async () => {
  const asked = async (path: string) => {
    let name = "";
    await worker.fetch(new Request(`http://worker${path}`), {
      WEBHOOKS: {
        idFromName: (it) => name = it,
        get: () => ({ fetch: () => Promise.resolve(new Response()) }),
      },
    });
    return name;
  };
  assertEquals(await asked("/webhooks/mall-1/1/orders"), "mall-1");
  assertEquals(
    await asked("/frequency/mall-1/2/orders?x=/webhooks/a/"),
    "mall-1",
  );
  assertEquals(await asked("/blocked/mall.2/1"), "mall.2");
  assertEquals(await asked("/status?mall=mall.2"), "mall.2");
  assertEquals(await asked("/healthz?mall=mall-1"), "mall-1");
  for (
    const path of [
      "/blocked",
      "/healthz",
      "/status",
      "/status?mall=a_b",
      "/blocked?mall=mall-1",
      "/webhooks/a_b/1/orders",
      `/webhooks/${"a".repeat(65)}/1/orders`,
      "/webhooks//1/orders",
    ]
  ) {
    assertEquals(await asked(path), "_", path);
  }
});
