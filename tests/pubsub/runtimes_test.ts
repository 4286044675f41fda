// Subscriptions on Node, on Bun and in a Durable Object of Cloudflare Workers.

import "../support/strict.ts";
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Item } from "../../pubsub/mod.ts";
import { bundled } from "../support/bundle.ts";
import { startRedis } from "../support/redis_server.ts";
import { programForTests } from "../support/tools.ts";
import { until } from "../support/wait.ts";
import { ignore as hasNoWorkerd, Workerd } from "../support/workerd.ts";

const hosts = new URL("./hosts/", import.meta.url);

for (const name of ["node22", "node24", "bun"] as const) {
  const { path, ignore } = await programForTests(name);
  Deno.test({
    name:
      `A subscription outlives its connection on ${name}, and lets the program end`,
    ignore,
    async fn() {
      await using server = await startRedis();
      const file = await Deno.makeTempFile({ suffix: ".mjs" });
      try {
        await Deno.writeTextFile(
          file,
          await bundled(new URL("program.ts", hosts)),
        );
        const { stdout, stderr } = await new Deno.Command(path, {
          args: [file, server.url],
          stdin: "null",
          stdout: "piped",
          stderr: "piped",
          signal: AbortSignal.timeout(20_000),
        }).output();
        const text = new TextDecoder();
        assertEquals(
          [text.decode(stdout), text.decode(stderr)],
          ['["before","away","gap","after"]\n', ""],
        );
      } finally {
        await Deno.remove(file);
      }
    },
  });
}

Deno.test({
  name:
    "A Durable Object gets messages between requests, and a gap where its connection was lost",
  ignore: hasNoWorkerd,
  async fn() {
    await using server = await startRedis();
    await using workerd = await Workerd.start({
      workers: [{
        name: "main",
        main: new URL("worker.ts", hosts),
        durableObjects: { OBJECTS: "Listener" },
      }],
    });
    const ask = async (path: string) =>
      (await workerd.call(path, server.url) as Item[]).map((item) =>
        item.type === "message" ? item.payload : item.type
      );
    assertEquals(await ask("/start"), []);
    await server.cli("PUBLISH", "a", "one");
    await until(async () => (await ask("/items")).length === 1);
    await server.cli("CLIENT", "KILL", "TYPE", "pubsub");
    await until(async () => (await ask("/items")).length === 3);
    await server.cli("PUBLISH", "a", "two");
    await until(async () => (await ask("/items")).length === 4);
    assertEquals(await ask("/end"), ["one", "away", "gap", "two"]);
    await until(async () =>
      (await server.cli("PUBLISH", "a", "three")) === "0"
    );

    const share = async () =>
      await workerd.call("/shared", server.url) as [string, string];
    assertEquals(await share(), ["subscribed", "nothing"]);
    const refusals = await share();
    const where = "this subscriber was first used in another request";
    ["Cannot subscribe", "Cannot read a subscription"].forEach((what, i) => {
      assertStringIncludes(refusals[i]!, `${what}: ${where}`);
      assertStringIncludes(refusals[i]!, " unsent");
    });
  },
});
