// Client: the little that every contestant can do, whatever its own API calls it.

/** One connection to Redis, as the rows use it. */
export interface Client {
  /** ZADD key score member. */
  zadd(key: string, score: string, member: string): Promise<unknown>;
  /** GET key, as bytes. */
  getBytes(key: string): Promise<Uint8Array>;
  /** GET key, as text. */
  getText(key: string): Promise<string>;
  /** LRANGE key 0 -1. */
  lrange(key: string): Promise<unknown>;
  /** One webhook event, recorded. Ours alone. */
  record?(event: WebhookEvent): Promise<unknown>;
  close(): unknown;
}

/** A webhook event, as the recorder takes it. */
export interface WebhookEvent {
  mallId: string;
  shopNo: number;
  eventType: string;
}

/** Opens one connection; `ca` is the PEM certificate to trust on `rediss://`. */
export type Connect = (url: string, ca?: string) => Promise<Client>;
