// That the example service blocks a shop that sends too much, and no other.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
} from "@std/assert";
import { Watch } from "../../examples/webhook_service/health.ts";
import { handler } from "../../examples/webhook_service/routes.ts";
import { Blacklist, Redis, WebhookRecorder } from "../../mod.ts";
import { startRedis } from "../support/redis_server.ts";
import { until } from "../support/wait.ts";
import { RunningService } from "./running_service.ts";

Deno.test("Webhook service blocks a shop that sends too much, for as long as it is told, and no other", async () => {
  await using server = await startRedis();
  await using service = await RunningService.start(server.url, {
    env: { LIMIT: 3, WINDOW_SECONDS: 2, BLOCK_SECONDS: 3 },
  });
  assertEquals(await service.get("/blocked"), { status: 200, body: [] });

  const path = "/webhooks/mall/1/stock";
  const since = Date.now();
  for (let frequency = 1; frequency <= 3; frequency++) {
    assertEquals(await service.post(path), {
      status: 200,
      body: { status: "recorded", count: 1, frequency, isBlocked: false },
    });
  }
  // The fourth one is counted, and is the first that is refused.
  const statusOf = async () => (await fetchPost(service, path)).status;
  assertEquals(await statusOf(), 429);
  const refused = await fetchPost(service, path);
  assertEquals([refused.status, refused.body], [429, {
    status: "blocked",
    isBlocked: true,
  }]);
  const retryAfter = Number(refused.headers.get("retry-after"));
  assert(retryAfter >= 1 && retryAfter <= 3, `${retryAfter}`);
  assertEquals((await service.post("/webhooks/mall/2/stock")).status, 200);
  assertEquals(await statusOf(), 429);

  const { status, body: [blocked, ...others] } = await service.get("/blocked");
  assertEquals([status, others], [200, []]);
  assertEquals([blocked.mallId, blocked.shopNo], ["mall", 1]);
  assertGreaterOrEqual(blocked.since, since - 1000);
  assertLess(Math.abs(blocked.until - blocked.since - 3000), 100);

  await until(async () => await statusOf() === 200, "the block ends");
  assertLessOrEqual(blocked.until, Date.now() + 100);
  assertEquals(await service.get("/blocked"), { status: 200, body: [] });
  assertEquals(
    await server.cli("ZCARD", "webhook_frequency_mall_1_stock"),
    "5",
    "what a blocked shop sends is not recorded",
  );
});

Deno.test("Webhook service blocks a shop and lets it through for those who have its token", async () => {
  await using server = await startRedis();
  const ADMIN_TOKEN = "a token";
  await using service = await RunningService.start(server.url, {
    env: { LIMIT: 1000, ADMIN_TOKEN },
  });
  const url = `${service.url}/blocked/mall/1?seconds=60&reason=floods`;
  for (const authorization of [undefined, "Bearer a tokem", ADMIN_TOKEN, ""]) {
    for (const method of ["PUT", "DELETE"]) {
      const headers = authorization === undefined ? {} : { authorization };
      const response = await fetch(url, { method, headers });
      await response.body?.cancel();
      assertEquals(response.status, 401);
    }
  }
  assertEquals((await service.get("/blocked")).status, 401);
  const path = "/webhooks/mall/1/stock";
  assertEquals((await service.post(path)).status, 200);

  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const change = async (method: string) =>
    (await fetch(url, { method, headers })).status;
  assertEquals(await change("PUT"), 204);
  assertEquals((await service.post(path)).status, 429);
  const { body } = await service.get("/blocked", headers);
  assertEquals(
    [body.length, body[0].reason, body[0].until - body[0].since],
    [1, "floods", 60_000],
  );
  assertEquals(await change("DELETE"), 204);
  assertEquals((await service.post(path)).status, 200);
  assertEquals((await service.get("/blocked", headers)).body, []);

  for (const seconds of ["soon", "0", "10000000"]) {
    const wrong = await fetch(
      `${service.url}/blocked/mall/1?seconds=${seconds}`,
      { method: "PUT", headers },
    );
    await wrong.body?.cancel();
    assertEquals(wrong.status, 400);
  }
});

Deno.test("Webhook service without a token lets nobody block, and without a limit blocks no shop", async () => {
  await using server = await startRedis();
  await using limited = await RunningService.start(server.url, {
    env: { LIMIT: 1 },
  });
  for (const method of ["PUT", "DELETE"]) {
    const response = await fetch(`${limited.url}/blocked/mall/1`, { method });
    await response.body?.cancel();
    assertEquals(response.status, 405);
  }
  await server.stop();
  // An event is worth more than a limit: it is queued, and counts later.
  for (let i = 0; i < 3; i++) {
    const { status, body } = await limited.post("/webhooks/mall/1/stock");
    assertEquals([status, body.status, body.isBlocked], [202, "queued", false]);
  }
  assertEquals((await limited.get("/blocked")).status, 503);

  await using free = await RunningService.start(server.url);
  assertEquals((await free.get("/blocked")).status, 404);
});

async function fetchPost({ url }: RunningService, path: string) {
  const response = await fetch(`${url}${path}`, { method: "POST" });
  const { status, headers } = response;
  const { isBlocked, status: what } = await response.json();
  return { status, headers, body: { status: what, isBlocked } };
}

Deno.test("A list of blocked shops that is cut short has no end, and the log says why", async () => {
  await using redis = new Redis("redis://127.0.0.1:1", { retry: false });
  await using recorder = new WebhookRecorder(redis);
  const blacklist = new Blacklist(recorder, {
    limit: 1,
    windowSeconds: 1,
    blockSeconds: 1,
  });
  const shop = { mallId: "mall", shopNo: 1, since: 0, until: 1000 };
  blacklist.blocked = async function* () {
    yield shop;
    await Promise.reject(new Error("Redis is gone"));
  };
  const lines: [string, string][] = [];
  const watch = new Watch(redis, recorder);
  watch.seldom = (what, error) => lines.push([what, `${error}`]);
  const answerTo = handler({ redis, recorder, blacklist, watch });
  const response = await answerTo(new Request("http://service/blocked"));
  assertEquals(await response.text(), `[\n${JSON.stringify(shop)}`);
  assertEquals(lines, [[
    "The list of blocked shops is cut short",
    "Error: Redis is gone",
  ]]);
});
