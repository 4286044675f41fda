// That the example service keeps its promises over HTTP, with and without Redis.

import "./support/strict.ts";
import { assertEquals, assertGreater, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import { handler } from "../examples/webhook_service.ts";
import { Redis, WebhookRecorder } from "../mod.ts";
import { importFlags } from "./support/imports.ts";
import { startRedis } from "./support/redis_server.ts";

const SERVICE = new URL("../examples/webhook_service.ts", import.meta.url).href;
const PERSISTENT = { config: { appendonly: "yes", appendfsync: "always" } };

/** The service as a user runs it: a process of its own. */
class RunningService implements AsyncDisposable {
  readonly process: Deno.ChildProcess;
  url = "";
  readonly #log: Promise<string>;

  private constructor(redisUrl: string) {
    this.process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--allow-net",
        "--allow-env=REDIS_URL,PORT",
        ...importFlags,
        SERVICE,
      ],
      env: { REDIS_URL: redisUrl, PORT: "0", NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#log = new Response(this.process.stderr).text();
  }

  static async start(redisUrl: string): Promise<RunningService> {
    const service = new RunningService(redisUrl);
    const lines = service.process.stdout.pipeThrough(new TextDecoderStream());
    for await (const line of lines) {
      const port = /Listening on port (\d+)/.exec(line)?.[1];
      if (port === undefined) continue;
      service.url = `http://127.0.0.1:${port}`;
      return service;
    }
    throw new Error(`The service did not start: ${await service.#log}`);
  }

  async post(path: string, headers: HeadersInit = {}) {
    const init = { method: "POST", headers, body: '{"order":1}' };
    return await answer(await fetch(`${this.url}${path}`, init));
  }

  async get(path: string) {
    return await answer(await fetch(`${this.url}${path}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.process.status;
    await this.#log;
  }
}

async function answer(response: Response) {
  return { status: response.status, body: await response.json() };
}

Deno.test("Webhook service counts events, and a repeated delivery once", async () => {
  await using server = await startRedis();
  await using service = await RunningService.start(server.url);
  const path = "/webhooks/mall-1/7/orders%2Fcreate";
  const recorded = { status: 200, body: { status: "recorded", count: 1 } };

  assertEquals(await service.post(path), recorded);
  assertEquals(await service.post(path), recorded);
  for (const name of ["Idempotency-Key", "X-Webhook-Id"]) {
    assertEquals(await service.post(path, { [name]: "delivery-1" }), recorded);
  }
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
  await using server = await startRedis(PERSISTENT);
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

Deno.test("Webhook service refuses bad input and says what it accepts", async () => {
  await using server = await startRedis();
  await using service = await RunningService.start(server.url);
  const refusals: [path: string, error: string][] = [
    [
      "/webhooks/a%20b/1/stock",
      'Cannot use mallId: it is "a b", accepted is 1 to 64 of A-Z a-z 0-9 . -',
    ],
    [
      "/webhooks/a%E0/1/stock",
      'Cannot use mallId: it is "a%E0", accepted is 1 to 64 of A-Z a-z 0-9 . -',
    ],
    [
      "/webhooks/mall/-1/stock",
      'Cannot use shopNo: it is "-1", accepted is a whole number of 0 or more',
    ],
    [
      "/webhooks/mall/1/",
      'Cannot use eventType: it is "", accepted is 1 to 64 of A-Z a-z 0-9 _ . / : -',
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
            `Cannot use windowSeconds: it is "${seconds}", accepted is a whole number from 1 to 999999999`,
        },
      },
    );
  }
  for (const path of ["/", "/constructor", "/frequency/mall/1", "/healthz/x"]) {
    assertEquals((await service.get(path)).status, 404);
  }
  assertEquals(await service.get("/webhooks/mall/1/stock"), {
    status: 405,
    body: { error: "Cannot GET here: allowed is POST" },
  });
  assertEquals(await server.cli("DBSIZE"), "0");
});

Deno.test("Webhook service answers 503 when its outbox is full", async () => {
  await using redis = new Redis("redis://127.0.0.1:1", { retry: false });
  const recorder = new WebhookRecorder(redis, { outboxCapacity: 2 });
  const answerTo = handler(redis, recorder);
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

async function isListening(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  try {
    (await Deno.connect({ hostname, port: Number(port) })).close();
    return true;
  } catch {
    return false;
  }
}
