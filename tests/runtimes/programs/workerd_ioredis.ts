// ioredis in workerd, by nodejs_compat.
import type { IoRedis } from "../../../bench/peers/ioredis_client.ts";
import { workerOf } from "./workerd_answer.ts";
// @ts-ignore: It is installed for this bench alone.
import { Redis } from "ioredis";

const Client = Redis as new (url: string, options: unknown) => IoRedis;

export default workerOf(async (url) => {
  const redis = new Client(url, {
    tls: url.startsWith("rediss:") ? {} : undefined,
  });
  await redis.ping();
  return {
    zadd: (key, score, member) => redis.zadd(key, score, member),
    getBytes: (key) => redis.getBuffer(key),
    getText: (key) => redis.get(key),
    lrange: (key) => redis.lrange(key, 0, -1),
    close: () => redis.disconnect(),
  };
});
