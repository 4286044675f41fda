// That Sentinels for tests watch a primary, and that their verbs do what they say.

import "./strict.ts";
import { assertEquals, assertLess, assertMatch } from "@std/assert";
import { startSentinels } from "./redis_sentinels.ts";
import { until } from "./wait.ts";

Deno.test("Sentinels of the tests name another primary when they are asked to", async () => {
  await using set = await startSentinels({ replicas: 2 });
  const first = await set.primary();
  assertEquals(first, set.servers[0]);
  await first.cli("SET", "key", "value");
  await until(async () => {
    const values = await Promise.all(
      set.servers.map((server) => server.cli("GET", "key")),
    );
    return values.every((value) => value === "value");
  }, "the replicas have the key");
  await set.failover();
  const second = await set.waitForPrimary({ than: first });
  assertEquals(await set.primary(), second.server);
  assertLess(second.firstMs, second.allMs + 1);
  assertEquals(await second.server.cli("GET", "key"), "value");
});

Deno.test("Sentinels over TLS and with a password of their own name another primary after a crash", async () => {
  await using set = await startSentinels({
    tls: true,
    password: "a b",
    sentinelPassword: "c d",
    name: "shop",
  });
  assertMatch(
    set.url,
    /^rediss:\/\/:a%20b@127\.0\.0\.1:\d+\?sentinel=shop&seeds=127\.0\.0\.1:\d+,127\.0\.0\.1:\d+$/,
  );
  const replica = await set.replica();
  assertEquals(replica, set.servers[1]);
  const primary = await set.crash();
  const { server } = await set.waitForPrimary({ than: primary });
  assertEquals(server, replica);
  assertEquals(set.clientOptions.sentinel?.password, "c d");
});
