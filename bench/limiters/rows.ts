// Rows: how many callers a limiter has at once, and how it is timed with them.
import process from "node:process";
import { keyOf, type Limiter, type Limits, type Shop } from "./limiter.ts";

/** How many call at once, for how many shops, and how many of these are blocked. */
export interface LimiterRow {
  readonly name: string;
  readonly title: string;
  readonly callers: number;
  /** They are called for in turn. */
  readonly shops: number;
  /** The share of the shops that are blocked before the clock runs, 0 to 1. */
  readonly blocked: number;
}

/** The rows of the table. */
export const limiterRows: readonly LimiterRow[] = [
  { name: "one", title: "1 caller", callers: 1, shops: 1000, blocked: 0 },
  {
    name: "callers",
    title: "64 callers, 1,000 shops",
    callers: 64,
    shops: 1000,
    blocked: 0,
  },
  {
    name: "crowd",
    title: "1,000 callers, 1,000 shops",
    callers: 1000,
    shops: 1000,
    blocked: 0,
  },
  {
    name: "callers-blocked",
    title: "64 callers, 1,000 shops, 20 % blocked",
    callers: 64,
    shops: 1000,
    blocked: 0.2,
  },
  {
    name: "crowd-blocked",
    title: "1,000 callers, 1,000 shops, 20 % blocked",
    callers: 1000,
    shops: 1000,
    blocked: 0.2,
  },
  {
    name: "callers-few",
    title: "64 callers, 10 shops",
    callers: 64,
    shops: 10,
    blocked: 0,
  },
  {
    name: "crowd-few",
    title: "1,000 callers, 10 shops",
    callers: 1000,
    shops: 10,
    blocked: 0,
  },
  {
    name: "callers-few-blocked",
    title: "64 callers, 10 shops, 20 % blocked",
    callers: 64,
    shops: 10,
    blocked: 0.2,
  },
];

/** No shop gets there while it is timed, unless it is blocked before. */
export const TIMED_LIMITS: Limits = {
  limit: 1_000_000,
  windowSeconds: 3600,
  blockSeconds: 3600,
};

interface TimedShop extends Shop {
  readonly isBlocked: boolean;
}

/** How fast a limiter was. */
export interface Pace {
  /** Decisions a second. */
  readonly perSecond: number;
  /** What a decision has taken of the processor in the process of the limiter, in microseconds. */
  readonly cpuUs: number;
  /** The decisions made in all, before the clock ran, too. */
  readonly decisions: number;
}

/** Times a row. Every answer is checked. */
export async function timeRow(
  limiter: Limiter,
  row: LimiterRow,
  { warmUpMs, measureMs }: { warmUpMs: number; measureMs: number },
): Promise<Pace> {
  const shops = shopsOf(row);
  for (const shop of shops) {
    if (shop.isBlocked) await limiter.block(shop);
  }
  for (const shop of shops) await check(limiter, shop);
  const warmUp = await repeat(limiter, shops, row.callers, warmUpMs);
  const before = process.cpuUsage();
  const { decisions, elapsedMs } = await repeat(
    limiter,
    shops,
    row.callers,
    measureMs,
  );
  const { user, system } = process.cpuUsage(before);
  return {
    perSecond: decisions / elapsedMs * 1000,
    cpuUs: (user + system) / decisions,
    decisions: shops.length + warmUp.decisions + decisions,
  };
}

/** The blocked shops are spread evenly among the others. */
function shopsOf({ shops, blocked }: LimiterRow): TimedShop[] {
  return Array.from({ length: shops }, (_, n) => ({
    mallId: `mall${n}`,
    shopNo: 1 + n % 7,
    isBlocked: Math.floor((n + 1) * blocked) > Math.floor(n * blocked),
  }));
}

async function check(limiter: Limiter, shop: TimedShop): Promise<void> {
  const isLetThrough = await limiter.decide(shop);
  if (isLetThrough !== shop.isBlocked) return;
  throw new Error(
    `Cannot time: ${keyOf(shop)} is ${
      isLetThrough ? "let through" : "refused"
    }, expected the opposite`,
  );
}

/** Callers that each wait for their answer, for a while. */
async function repeat(
  limiter: Limiter,
  shops: readonly TimedShop[],
  callers: number,
  forMs: number,
): Promise<{ decisions: number; elapsedMs: number }> {
  const startedAt = performance.now();
  let calls = 0;
  let decisions = 0;
  let wrong = 0;
  let isOver = false;
  const call = async () => {
    while (!isOver) {
      const shop = shops[calls++ % shops.length]!;
      if (await limiter.decide(shop) === shop.isBlocked) wrong++;
      // Reading the clock costs as much as a tenth of the fastest decisions.
      if (++decisions % 64 === 0) {
        isOver = performance.now() - startedAt > forMs;
      }
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  const elapsedMs = performance.now() - startedAt;
  if (wrong > 0) throw new Error(`Cannot time: ${wrong} wrong decisions`);
  return { decisions, elapsedMs };
}
