// Work: what a client of a cluster is timed with, in a process of its own. Runs without an import map.

import process from "node:process";
import type { WebhookEvent } from "../client.ts";

/** What cluster.ts asks of a worker: one JSON argument. */
export interface ClusterJob {
  readonly row: "send" | "record";
  /** One server of the cluster. */
  readonly url: string;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/** A client of a cluster, as far as it is timed. */
export interface ClusterClient {
  /** ZADD key score member. */
  zadd(key: string, score: string, member: string): Promise<unknown>;
  /** One webhook event, recorded. Ours alone. */
  record?(event: WebhookEvent): Promise<unknown>;
  close(): unknown;
}

const BURST = 1000;
/** Each has a key of its own, so that every server gets its share. */
const SHOPS = 300;

const events: WebhookEvent[] = Array.from({ length: BURST }, (_, n) => ({
  mallId: `mall${n % SHOPS}`,
  shopNo: 1 + n % SHOPS,
  eventType: "order_created",
}));
const keys = events.map((e) =>
  `webhook_frequency_${e.mallId}_${e.shopNo}_${e.eventType}`
);

/** Connects, does the work of the row, prints the events a second. */
export async function workOnCluster(
  connect: (url: string) => Promise<ClusterClient>,
): Promise<void> {
  const job = JSON.parse(process.argv.at(-1)!) as ClusterJob;
  const client = await connect(job.url);
  const one = job.row === "record"
    ? (n: number) => client.record!(events[n]!)
    : (n: number) => {
      const score = String(Math.floor(Date.now() / 1000));
      return client.zadd(keys[n]!, score, crypto.randomUUID());
    };
  const burst = async (): Promise<void> => {
    const answers = new Array<Promise<unknown>>(BURST);
    for (let n = 0; n < BURST; n++) answers[n] = one(n);
    for (const answer of await Promise.all(answers)) check(answer);
  };
  await repeat(job.warmUpMs, burst);
  console.log(JSON.stringify(await repeat(job.measureMs, burst)));
  await client.close();
}

/** What ZADD answers, or an outcome of record(). */
function check(answer: unknown): void {
  const isRight = answer === 1 ||
    (answer as { status?: string }).status === "recorded";
  if (!isRight) throw new Error(`Cannot count ${JSON.stringify(answer)}`);
}

/** Repeats a burst for a while; returns events a second. */
async function repeat(
  forMs: number,
  burst: () => Promise<void>,
): Promise<number> {
  const startedAt = performance.now();
  let bursts = 0;
  let elapsedMs = 0;
  do {
    await burst();
    bursts++;
    elapsedMs = performance.now() - startedAt;
  } while (elapsedMs < forMs);
  return bursts * BURST / elapsedMs * 1000;
}
