// That the example service keeps its promises over HTTP, with and without Redis.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { handler } from "../../examples/webhook_service/routes.ts";
import { Redis, WebhookRecorder } from "../../mod.ts";
import { startRedis } from "../support/redis_server.ts";
import { RunningService } from "./running_service.ts";
import { ODD_HOSTS, statusOf } from "./service_answers.ts";

Deno.test("Webhook service counts events, and a repeated delivery once", async () => {
  await using server = await startRedis();
  await using service = await RunningService.start(server.url);
  const path = "/webhooks/mall-1/7/orders%2Fcreate";
  const recorded = { status: 200, body: { status: "recorded", count: 1 } };

  assertEquals(await service.post(path), recorded);
  assertEquals(await service.post(path), recorded);
  const delivered = [];
  for (const name of ["Idempotency-Key", "X-Webhook-Id"]) {
    const { body } = await service.post(path, { [name]: "delivery-1" });
    delivered.push([body.status, body.isNew]);
  }
  assertEquals(delivered, [["recorded", true], ["recorded", false]]);
  assertEquals(
    await service.get("/frequency/mall-1/7/orders%2Fcreate?windowSeconds=30"),
    {
      status: 200,
      body: {
        mallId: "mall-1",
        shopNo: 7,
        eventType: "orders/create",
        windowSeconds: 30,
        frequency: 3,
      },
    },
  );
  const key = "webhook_frequency_mall-1_7_orders/create";
  assertEquals(await server.cli("ZCARD", key), "3");
  assertGreater(Number(await server.cli("TTL", key)), 0);

  const { status, body } = await service.get("/healthz");
  assertEquals([status, body.status, body.pending], [200, "ok", 0]);
  assertGreater(body.redis.dialed, 0);
});

Deno.test("Webhook service queues events while Redis is away and records each once", async () => {
  await using server = await startRedis({ durable: true });
  await using service = await RunningService.start(server.url);
  const path = "/webhooks/mall/1/stock";
  assertEquals((await service.post(path)).status, 200);

  await server.stop();
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => service.post(path)),
  );
  assertEquals(new Set(answers.map(({ status }) => status)), new Set([202]));
  assertEquals((await service.get("/healthz")).body.pending, 20);
  assertEquals((await service.get("/frequency/mall/1/stock")).status, 503);

  await server.start();
  while ((await service.get("/healthz")).body.pending > 0) await delay(20);
  assertEquals((await service.post(path)).status, 200);
  const { body } = await service.get("/frequency/mall/1/stock");
  assertEquals(body.frequency, 22);
  assertEquals(
    await server.cli("ZCARD", "webhook_frequency_mall_1_stock"),
    "22",
  );
});

Deno.test("Webhook service refuses bad input and says what it expects", async () => {
  await using server = await startRedis();
  await using service = await RunningService.start(server.url);
  const refusals: [path: string, error: string][] = [
    [
      "/webhooks/a%20b/1/stock",
      'Cannot use mallId: it is "a b", expected 1 to 64 of A-Z a-z 0-9 . -',
    ],
    [
      "/webhooks/a%E0/1/stock",
      'Cannot use mallId: it is "a%E0", expected 1 to 64 of A-Z a-z 0-9 . -',
    ],
    [
      "/webhooks/mall/-1/stock",
      'Cannot use shopNo: it is "-1", expected a whole number of 0 or more',
    ],
    [
      "/webhooks/mall/1/",
      'Cannot use eventType: it is "", expected 1 to 64 of A-Z a-z 0-9 _ . / : -',
    ],
  ];
  for (const [path, error] of refusals) {
    assertEquals(await service.post(path), { status: 400, body: { error } });
  }
  const { status, body } = await service.post("/webhooks/mall/1/stock", {
    "Idempotency-Key": "x".repeat(201),
  });
  assertEquals([status, body.error.slice(0, 26)], [
    400,
    "Cannot use Idempotency-Key",
  ]);

  for (const seconds of ["0", "-1", "1.5", "soon", ""]) {
    assertEquals(
      await service.get(`/frequency/mall/1/stock?windowSeconds=${seconds}`),
      {
        status: 400,
        body: {
          error:
            `Cannot use windowSeconds: it is "${seconds}", expected a whole number from 1 to 999999999`,
        },
      },
    );
  }
  for (const path of ["/", "/constructor", "/frequency/mall/1", "/healthz/x"]) {
    assertEquals((await service.get(path)).status, 404);
  }
  assertEquals(await service.get("/webhooks/mall/1/stock"), {
    status: 405,
    body: { error: "Cannot GET here: expected POST" },
  });
  assertEquals(await server.cli("DBSIZE"), "0");
});

Deno.test("Webhook service answers 503 when its outbox is full", async () => {
  await using redis = new Redis("redis://127.0.0.1:1", { retry: false });
  const recorder = new WebhookRecorder(redis, { outboxCapacity: 2 });
  const answerTo = handler({ redis, recorder });
  const url = "http://service/webhooks/mall/1/stock";
  const statuses: number[] = [];
  for (let i = 0; i < 3; i++) {
    const response = await answerTo(new Request(url, { method: "POST" }));
    statuses.push(response.status);
    await response.body?.cancel();
  }
  assertEquals(statuses, [202, 202, 503]);
  await redis.close();
  await recorder[Symbol.asyncDispose]();
});

Deno.test("Webhook service sends what is queued before it ends", async () => {
  await using server = await startRedis();
  await using service = await RunningService.start(server.url);
  await server.stop();
  for (let i = 0; i < 5; i++) {
    assertEquals((await service.post("/webhooks/mall/1/stock")).status, 202);
  }
  service.process.kill("SIGTERM");
  while (await isListening(service.url)) await delay(10);
  await server.start();
  assertEquals((await service.process.status).code, 0);
  assertEquals(
    await server.cli("ZCARD", "webhook_frequency_mall_1_stock"),
    "5",
  );
  await assertRejects(() => service.get("/healthz"));
});

Deno.test("Webhook service is healthy while events can be recorded, and tells no address", async () => {
  await using server = await startRedis({ durable: true });
  await using service = await RunningService.start(server.url);
  assertEquals((await service.get("/healthz")).status, 200);
  const isNow = async (status: number) => {
    for (;;) {
      const health = await service.get("/healthz");
      if (health.status === status) return health.body;
      await delay(50);
    }
  };
  await server.stop();
  await isNow(503); // without any traffic
  assertEquals((await service.post("/webhooks/mall/1/stock")).status, 202);
  await delay(1000);
  const body = await isNow(503);
  assertEquals([body.status, body.pending], ["unavailable", 1]);
  assertEquals(body.lastDialError, "connect: refused");
  assertLess(Math.abs(Date.parse(body.awaySince) - Date.now()), 10_000);
  const text = JSON.stringify(body);
  for (const secret of ["127.0.0.1", `${server.port}`, "localhost"]) {
    assert(!text.includes(secret), text);
  }
  await server.start();
  const { lost, sent } = await isNow(200);
  assertEquals([lost, sent], [0, 1]);

  await server.cli("CONFIG", "SET", "maxmemory", 1);
  await isNow(503);
  await server.cli("CONFIG", "SET", "maxmemory", 0);
  await isNow(200);
  await server.cli("ACL", "SETUSER", "default", "-zadd");
  await isNow(503);
});

Deno.test("Webhook service logs that Redis is away and that it is back, and no event", async () => {
  await using server = await startRedis({ durable: true });
  await using service = await RunningService.start(server.url);
  await service.post("/webhooks/mall/1/stock");
  await server.cli("SET", "webhook_frequency_mall_9_stock", "no set");
  for (let i = 0; i < 3; i++) {
    assertEquals((await service.post("/webhooks/mall/9/stock")).status, 503);
  }
  await server.stop();
  for (let i = 0; i < 20; i++) await service.post("/webhooks/mall/1/stock");
  for (let i = 0; i < 3; i++) await service.get("/frequency/mall/1/stock");
  await server.start();
  while ((await service.get("/healthz")).status !== 200) await delay(50);
  await delay(1500);
  service.process.kill("SIGTERM");
  assertEquals((await service.process.status).code, 0);
  const lines = await service.lines();
  for (const { time, level } of lines) {
    assertLess(Math.abs(Date.parse(time) - Date.now()), 60_000);
    assertMatch(level, /^(info|error)$/);
  }
  const messages = lines.map(({ level, message }) => `${level} ${message}`);
  assertMatch(messages[0]!, /^info Listening on port/);
  assertMatch(messages[1]!, /^error An event is lost: WRONGTYPE/);
  assertMatch(
    messages[2]!,
    /^error Redis has been away for \d.* s: .*Cannot connect to/,
  );
  const back = lines.at(-1)!;
  assertMatch(back.message, /^Redis is back after \d/);
  assertEquals([back.queued, back.sent, back.lost], [20, 20, 0]);
  assertLessOrEqual(lines.length, 5); // one, for all requests, that they cannot be answered
});

Deno.test("Webhook service ends in an outage within its time, although a body never ends", async () => {
  await using server = await startRedis();
  await using service = await RunningService.start(server.url);
  await server.stop();
  for (let i = 0; i < 5; i++) {
    assertEquals((await service.post("/webhooks/mall/1/stock")).status, 202);
  }
  const { hostname, port } = new URL(service.url);
  using slow = await Deno.connect({ hostname, port: Number(port) });
  await slow.write(new TextEncoder().encode(
    "POST /webhooks/mall/1/stock HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
  ));
  await delay(100);
  const startedAt = performance.now();
  service.process.kill("SIGTERM");
  assertEquals((await service.process.status).code, 1);
  assertLess(performance.now() - startedAt, 5000);
  const last = (await service.lines()).at(-1)!;
  assertEquals([last.level, last.message, last.lost], [
    "error",
    "Stopped: 6 events are lost",
    6,
  ]);
});

Deno.test("Webhook service refuses odd methods and hosts", async () => {
  await using server = await startRedis();
  await using service = await RunningService.start(server.url);
  for (const method of ["constructor", "toString", "__proto__", "PUT"]) {
    for (const page of ["/healthz", "/webhooks/mall/1/stock"]) {
      assertEquals(
        await statusOf(service.url, `${method} ${page}`),
        405,
        method,
      );
    }
  }
  for (const host of ODD_HOSTS) {
    assertEquals(await statusOf(service.url, "GET /healthz", host), 400, host);
  }
});

async function isListening(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  try {
    (await Deno.connect({ hostname, port: Number(port) })).close();
    return true;
  } catch {
    return false;
  }
}
