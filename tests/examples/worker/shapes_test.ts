// The three Workers of examples/worker, in a real workerd: connections are killed all the time, and Redis is away for a while.

import "../../support/strict.ts";
import { assert, assertEquals, assertGreater } from "@std/assert";
import { delay } from "@std/async/delay";
import { Redis } from "../../../mod.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";
import { until } from "../../support/wait.ts";
import { ignore, Workerd, type WorkerOptions } from "../../support/workerd.ts";
import { type Answers, deliver, KEY } from "./deliveries.ts";

const example = (name: string): URL =>
  new URL(`../../../examples/worker/${name}.ts`, import.meta.url);

/** The Workers of a shape, whose Redis is at a URL. */
type Shape = (redisUrl: string) => WorkerOptions[];

const perRequest: Shape = (REDIS_URL) => [
  { name: "main", main: example("per_request"), texts: { REDIS_URL } },
];

const queue: Shape = (REDIS_URL) => [
  {
    name: "main",
    main: example("queue"),
    texts: { REDIS_URL },
    queues: { EVENTS: "broker" },
  },
  {
    name: "broker",
    main: new URL("./broker.ts", import.meta.url),
    durableObjects: { BROKER: "Broker" },
    services: { CONSUMER: "main" },
  },
];

const durableObject: Shape = (REDIS_URL) => [
  {
    name: "main",
    main: example("durable_object"),
    texts: { REDIS_URL },
    durableObjects: { WEBHOOKS: "Webhooks" },
  },
];

/** What a test stands on. */
interface Stage {
  readonly server: RedisServer;
  /** A client of the server for the test itself. */
  readonly redis: Redis;
  readonly workerd: Workerd;
}

function test(
  name: string,
  shape: Shape,
  fn: (stage: Stage) => Promise<void>,
): void {
  Deno.test(name, { ignore }, async () => {
    await using server = await startRedis({ durable: true });
    await using redis = new Redis(server.url);
    await using workerd = await Workerd.start({ workers: shape(server.url) });
    await fn({ server, redis, workerd });
  });
}

/** Kills every connection every 20 ms, until the work is done. */
async function killedMeanwhile<T>(
  server: RedisServer,
  work: Promise<T>,
): Promise<{ result: T; killed: number }> {
  let isDone = false;
  let killed = 0;
  const result = work.finally(() => isDone = true);
  result.catch(() => {});
  while (!isDone) {
    killed += Number(await server.cli("CLIENT", "KILL", "TYPE", "normal"));
    await delay(20);
  }
  return { result: await result, killed };
}

/** Redis is killed, and away for 1.5 s. */
async function outage(server: RedisServer): Promise<void> {
  await delay(200);
  await server.kill();
  await delay(1500);
  await server.start();
}

/** Waits until each of so many events is counted, and none twice. */
async function untilCounted(redis: Redis, events: number): Promise<void> {
  const counted = async () => Number(await redis.send(["ZCARD", KEY]));
  await until(async () => await counted() >= events, `${events} are counted`);
  await delay(100);
  assertEquals(await counted(), events);
}

const EVENTS = 120;

for (
  const { name, shape, kills, answered } of [
    {
      name: "A client for each request",
      shape: perRequest,
      kills: ({ 200: recorded }: Answers) => recorded === EVENTS,
      answered: ({ 200: recorded, 503: refused = 0 }: Answers) =>
        recorded === EVENTS && refused > 0,
    },
    {
      name: "A consumer of a queue",
      shape: queue,
      kills: ({ 202: accepted }: Answers) => accepted === EVENTS,
      answered: ({ 202: accepted }: Answers) => accepted === EVENTS,
    },
    {
      name: "A Durable Object",
      shape: durableObject,
      kills: ({ 200: recorded = 0, 202: queued = 0 }: Answers) =>
        recorded + queued === EVENTS && recorded > 0,
      answered: ({ 200: recorded = 0, 202: queued = 0 }: Answers) =>
        recorded + queued === EVENTS && queued > 0,
    },
  ]
) {
  test(
    `${name} counts every accepted event once while connections are killed, and when Redis is away`,
    shape,
    async ({ server, redis, workerd }) => {
      const { result, killed } = await killedMeanwhile(
        server,
        deliver(workerd.url, 0, EVENTS, 30),
      );
      assertGreater(killed, 0);
      assert(kills(result), JSON.stringify(result));
      await untilCounted(redis, EVENTS);
      const [answers] = await Promise.all([
        deliver(workerd.url, EVENTS, 2 * EVENTS, 150),
        outage(server),
      ]);
      assert(answered(answers), JSON.stringify(answers));
      await untilCounted(redis, 2 * EVENTS);
    },
  );
}

test(
  "An event of a queue keeps the time at which it came, however late it is recorded",
  queue,
  async ({ server, redis, workerd }) => {
    await server.kill();
    const from = Math.floor(Date.now() / 1000);
    assertEquals(await deliver(workerd.url, 0, 10), { 202: 10 });
    const to = Math.floor(Date.now() / 1000);
    await delay(1100);
    await server.start();
    await untilCounted(redis, 10);
    assertEquals(await redis.send(["ZCOUNT", KEY, from, to]), 10);
  },
);

test(
  "A Durable Object whose process is killed while Redis is away sends what is queued by its alarm, without a request",
  durableObject,
  async ({ server, redis, workerd }) => {
    await server.kill();
    assertEquals(await deliver(workerd.url, 0, 20), { 202: 20 });
    await workerd.kill();
    await workerd.start();
    await server.start();
    await untilCounted(redis, 20);
  },
);
