// What a client that tries once is rejected with where it cannot connect.
import { assertRejects } from "@std/assert";
import { DialError, Redis, type RedisOptions } from "../../mod.ts";

/** The error of a PING that must fail for want of a connection. */
export async function refusal(
  url: string,
  options: RedisOptions = {},
): Promise<DialError> {
  await using redis = new Redis(url, {
    retry: false,
    connectTimeoutMs: 3000,
    ...options,
  });
  return await assertRejects(() => redis.send(["PING"]), DialError);
}
