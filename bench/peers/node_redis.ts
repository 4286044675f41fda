// node-redis as it comes: it writes the commands of one turn together.

import { work } from "../worker.ts";

/** The part of node-redis that the rows use, so that checking needs no install. */
interface NodeRedis {
  connect(): Promise<unknown>;
  sendCommand(command: string[]): Promise<unknown>;
  withTypeMapping(mapping: Record<number, unknown>): {
    get(key: string): Promise<Uint8Array>;
  };
  get(key: string): Promise<string>;
  lRange(key: string, start: number, stop: number): Promise<unknown>;
  destroy(): void;
}

const library = "redis";
const { createClient, RESP_TYPES } = await import(library) as {
  createClient(options: unknown): NodeRedis;
  RESP_TYPES: { BLOB_STRING: number };
};
const { Buffer } = await import("node:buffer");

await work(async (url, ca) => {
  const redis = createClient({
    url,
    ...(ca === undefined ? {} : { socket: { tls: true, ca } }),
  });
  await redis.connect();
  const bytes = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  return {
    zadd: (key, score, member) =>
      redis.sendCommand(["ZADD", key, score, member]),
    getBytes: (key) => bytes.get(key),
    getText: (key) => redis.get(key),
    lrange: (key) => redis.lRange(key, 0, -1),
    close: () => redis.destroy(),
  };
});
