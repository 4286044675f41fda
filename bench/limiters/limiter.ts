// Limiter: the little that every rate limiter can do, whatever its own API calls it.

/** A shop whose calls are limited. */
export interface Shop {
  readonly mallId: string;
  readonly shopNo: number;
}

/** The same as a key, for limiters that take one. */
export const keyOf = ({ mallId, shopNo }: Shop): string =>
  `${mallId}_${shopNo}`;

/** What is let through. */
export interface Limits {
  /** How many calls of a shop in a window. */
  readonly limit: number;
  readonly windowSeconds: number;
  /** How long a shop is blocked that calls more often, in seconds; 0 where only its next calls are refused. */
  readonly blockSeconds: number;
}

/** A rate limiter on one connection to Redis. */
export interface Limiter {
  /** Counts a call of a shop. Whether it is let through. */
  decide(shop: Shop): Promise<boolean>;
  /** Makes it refuse a shop from now on. */
  block(shop: Shop): Promise<unknown>;
  close(): unknown;
}

/** Makes a limiter, which may connect later. */
export type MakeLimiter = (url: string, limits: Limits) => Limiter;
