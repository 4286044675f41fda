// Routing: what it costs to ask for each command which server holds its hash slot, on one server.

import { Redis } from "../../mod.ts";
import { median } from "../results.ts";

/** What cluster.ts asks for: one JSON argument. */
export interface RoutingJob {
  readonly url: string;
  readonly rounds: number;
}

/** Commands a second without and with routing, and the median of the ratios of their times. */
export interface RoutingCost {
  readonly plain: number;
  readonly routed: number;
  readonly ratio: number;
}

const CALLERS = 64;
const COMMANDS = 100;
const STEPS = 4;
const WARM_UP_ROUNDS = 20;
const VALUE = "0123456789abcdef";
const keys = Array.from(
  { length: CALLERS },
  (_, n) => `webhook_frequency_mall_${String(n).padStart(4, "0")}_order_paid`,
);

async function caller(redis: Redis, key: string): Promise<void> {
  for (let n = 0; n < COMMANDS; n++) await redis.send(["SET", key, VALUE]);
}

async function timeOf(redis: Redis): Promise<number> {
  const startedAt = performance.now();
  for (let step = 0; step < STEPS; step++) {
    await Promise.all(keys.map((key) => caller(redis, key)));
  }
  return performance.now() - startedAt;
}

const job = JSON.parse(Deno.args[0]!) as RoutingJob;
const plain = new Redis(job.url, { maxConnections: 1 });
const routed = new Redis(job.url, { maxConnections: 1, cluster: true });
const times: [plain: number, routed: number][] = [];
for (let round = -WARM_UP_ROUNDS; round < job.rounds; round++) {
  const isFirst = round % 2 === 0;
  const before = isFirst ? await timeOf(plain) : 0;
  const withRouting = await timeOf(routed);
  const without = isFirst ? before : await timeOf(plain);
  if (round >= 0) times.push([without, withRouting]);
}
const perSecond = (ms: number): number =>
  CALLERS * COMMANDS * STEPS / ms * 1000;
const cost: RoutingCost = {
  plain: perSecond(median(times.map(([ms]) => ms))),
  routed: perSecond(median(times.map(([, ms]) => ms))),
  ratio: median(times.map(([a, b]) => a / b)),
};
console.log(JSON.stringify(cost));
await plain.close();
await routed.close();
