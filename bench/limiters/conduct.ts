// Conduct: what a limiter does where a reply is lost, a window ends or Redis is away.
import type { Limiter, Limits, Shop } from "./limiter.ts";

/** One trial, made in a process of its own by each limiter. */
export interface Trial {
  readonly limits: Limits;
  /** Makes it; returns what is printed as JSON. */
  make(limiter: Limiter, calls: number): Promise<unknown>;
}

const AMPLE: Limits = { limit: 1000, windowSeconds: 60, blockSeconds: 60 };
/** The shop whose next reply the proxy loses. */
export const UNLUCKY: Shop = { mallId: "unlucky", shopNo: 1 };
const SHOP: Shop = { mallId: "mall", shopNo: 1 };
const PATIENCE_MS = 30_000;

/** What a decision came to. */
export interface Answer {
  readonly answer: "let through" | "refused" | "none" | `rejected: ${string}`;
  readonly ms: number;
}

/** How many calls got through. */
export interface Burst {
  readonly limit: number;
  /** The most in any time as long as the window. */
  readonly most: number;
}

/** The trials by name. */
export const trials: Readonly<Record<string, Trial>> = {
  /** Decisions of a shop below the limit, one at a time. */
  open: {
    limits: AMPLE,
    async make(limiter, calls) {
      for (let n = 0; n < calls; n++) await limiter.decide(SHOP);
    },
  },
  /** Decisions of a blocked shop, one at a time. */
  blocked: {
    limits: AMPLE,
    async make(limiter, calls) {
      await limiter.block(SHOP);
      for (let n = 0; n < calls; n++) await limiter.decide(SHOP);
    },
  },
  /** One decision, whose reply is lost with its connection. */
  lost: {
    limits: AMPLE,
    async make(limiter) {
      await limiter.decide(SHOP);
      return await answerOf(limiter, UNLUCKY);
    },
  },
  /** One decision of a new process whose Redis is away. */
  away: {
    limits: AMPLE,
    make: (limiter) => answerOf(limiter, SHOP),
  },
  /** As many calls as the limit before the end of a window, and more after it. */
  burst: {
    limits: { limit: 10, windowSeconds: 10, blockSeconds: 0 },
    make: (limiter) => burst(limiter, trials["burst"]!.limits),
  },
};

async function answerOf(limiter: Limiter, shop: Shop): Promise<Answer> {
  const startedAt = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const patience = new Promise<undefined>((resolve) =>
    timer = setTimeout(() => resolve(undefined), PATIENCE_MS)
  );
  const settled = (answer: Answer["answer"]): Answer => ({
    answer,
    ms: Math.round(performance.now() - startedAt),
  });
  try {
    const isLetThrough = await Promise.race([limiter.decide(shop), patience]);
    return settled(
      isLetThrough === undefined
        ? "none"
        : isLetThrough
        ? "let through"
        : "refused",
    );
  } catch (error) {
    return settled(`rejected: ${(error as Error).message}`);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The windows of some limiters begin at full multiples of their length, those of
 * others with the first call. One call soon after a multiple, the others of the
 * limit soon before the end of that window, and as many as the limit soon before
 * the end of the next one.
 */
async function burst(limiter: Limiter, limits: Limits): Promise<Burst> {
  const { limit, windowSeconds } = limits;
  const windowMs = windowSeconds * 1000;
  const startsAt = Math.ceil(Date.now() / windowMs) * windowMs;
  const until = (windows: number) =>
    new Promise((resolve) =>
      setTimeout(resolve, startsAt + windows * windowMs - Date.now())
    );
  const passed: number[] = [];
  const call = async () => {
    const at = performance.now();
    if (await limiter.decide(SHOP)) passed.push(at);
  };
  await until(0.04);
  await call();
  await until(0.92);
  for (let n = 1; n < limit; n++) await call();
  await until(1.88);
  for (let n = 0; n < limit; n++) await call();
  const within = (first: number) =>
    passed.filter((at) => at >= first && at < first + windowMs).length;
  return { limit, most: Math.max(...passed.map(within)) };
}
