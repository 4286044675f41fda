// What a recorder has answered, and what is in Redis, after an outage in which its process was killed again and again.
import { assert, assertEquals } from "@std/assert";
import { Redis } from "../../../client/redis.ts";
import { until } from "../../support/wait.ts";
import { startRedis } from "../../support/redis_server.ts";
import { type Host, RemoteStore } from "./hosts/host.ts";
import { EVENT_KEY } from "./hosts/serve.ts";

/** How often each process is killed. */
const KILLS = 3;
/** Events that are recorded at once. */
const TOGETHER = 25;

/**
 * Records events by way of hosts that share a store, while Redis is away and the hosts
 * are killed, and starts Redis and the hosts at last: every event that was answered is
 * there, and none is there twice.
 */
export async function survivesKills(hosts: readonly Host[]): Promise<void> {
  await using server = await startRedis();
  const path = `survival?redis=${encodeURIComponent(server.url)}`;
  const answered = new Set<number>();
  let second = 1_700_000_000;

  /** Records until its host is killed. */
  const recordOn = async (host: Host): Promise<void> => {
    const store = new RemoteStore(host, path);
    try {
      while (true) {
        const seconds = Array.from({ length: TOGETHER }, () => second++);
        const results = await store.together(
          ...seconds.map((second) => ["record", second] as const),
        );
        results.forEach((result, i) => {
          assert("value" in result, JSON.stringify(result));
          if (result.value !== "dropped") answered.add(seconds[i]!);
        });
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the host is not killed
    }
  };

  await server.kill();
  for (let kill = 0; kill < KILLS; kill++) {
    const before = answered.size;
    await Promise.all(hosts.map(async (host, i) => {
      const recording = recordOn(host);
      await until(
        () => answered.size >= before + 100 * (i + 1),
        "events are queued",
        20_000,
      );
      await host.kill();
      await recording;
      await host.start();
    }));
  }

  await server.start();
  await Promise.all(hosts.map((host) => host.kill()));
  await Promise.all(hosts.map((host) => host.start()));
  const stores = hosts.map((host) => new RemoteStore(host, path));
  await until(async () => {
    const results = await Promise.all(
      stores.map((store) => store.together(["pending"], ["raw.list"])),
    );
    const [pending, raw] = results[0]! as { value: unknown }[];
    return pending!.value === 0 && (raw!.value as unknown[]).length === 0;
  }, "everything is sent and removed");

  await using redis = new Redis(server.url);
  const reply = await redis.send([
    "ZRANGE",
    EVENT_KEY,
    0,
    -1,
    "WITHSCORES",
  ]) as string[];
  const scores = reply.filter((_, i) => i % 2 === 1).map(Number);
  const found = new Set(scores);
  assertEquals(scores.length, found.size, "none is there twice");
  assertEquals([...answered].filter((second) => !found.has(second)), []);
  assert(answered.size >= KILLS * hosts.length * 100);
}
