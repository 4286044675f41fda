// Events in the storage of a Durable Object: a real one, in workerd.
import "../../support/strict.ts";
import { assertEquals, assertThrows } from "@std/assert";
import { Redis } from "../../../client/redis.ts";
import { DurableObjectOutbox } from "../../../recorder/stores/durable_object_outbox.ts";
import { keepsContract } from "./contract.ts";
import { startRedis } from "../../support/redis_server.ts";
import { until } from "../../support/wait.ts";
import { ignore } from "../../support/workerd.ts";
import { type Host, RemoteStore } from "./hosts/host.ts";
import { EVENT_KEY } from "./hosts/serve.ts";
import { startWorker } from "./hosts/start_worker.ts";
import { survivesKills } from "./survival.ts";

/** Runs a test on a workerd of its own. */
async function withWorker(test: (host: Host) => Promise<void>): Promise<void> {
  await using host = await startWorker();
  await test(host);
}

Deno.test("DurableObjectOutbox keeps events through kills, as a store must", {
  ignore,
}, (t) => withWorker((host) => keepsContract(host, t)));

Deno.test(
  "A Durable Object whose process is killed again and again while Redis is away loses no event that is queued, and counts none twice",
  {
    ignore,
  },
  () => withWorker((host) => survivesKills([host])),
);

Deno.test(
  "An alarm sends what an evicted Durable Object has left, without a request",
  {
    ignore,
  },
  () =>
    withWorker(async (host) => {
      await using server = await startRedis();
      await using redis = new Redis(server.url);
      const url = encodeURIComponent(server.url);
      const store = new RemoteStore(host, `store?alarm&redis=${url}`);
      await server.kill();
      const results = await store.together(["record", 1], ["record", 2]);
      assertEquals(results, [{ value: "queued" }, { value: "queued" }]);
      await host.kill();
      await server.start();
      await host.start();
      await until(
        async () => await redis.send(["ZCARD", EVENT_KEY]) === 2,
        "both events are sent",
      );
    }),
);

Deno.test("DurableObjectOutbox names the argument that is wrong", () => {
  const storage = { put: () => {}, sync: () => {} } as never;
  assertThrows(
    () => new DurableObjectOutbox(undefined as never),
    TypeError,
    "Cannot make a DurableObjectOutbox: storage is undefined, expected the ctx.storage of a Durable Object",
  );
  for (const prefix of [5, "a".repeat(501)]) {
    assertThrows(
      () => new DurableObjectOutbox(storage, { prefix: prefix as never }),
      TypeError,
      "Cannot make a DurableObjectOutbox: prefix is ",
    );
  }
  assertThrows(
    () => new DurableObjectOutbox(storage, { maxBytes: 1.5 }),
    TypeError,
    "Cannot make a DurableObjectOutbox: maxBytes is 1.5",
  );
});
