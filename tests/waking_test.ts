// A process that was frozen serves its first command without an error and without waiting for a timeout.

import "./support/strict.ts";
import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { startProxy } from "./support/fault_proxy.ts";
import { importFlags } from "./support/imports.ts";
import { startRedis } from "./support/redis_server.ts";

/** Runs a client in a process of its own, freezes it with `between` going on, and returns what it reports. */
async function freeze(
  url: string,
  frozenMs: number,
  between: () => void,
): Promise<{ reply: unknown; tookMs: number; evicted: unknown }> {
  const program = `
    import { Redis } from "${new URL("../mod.ts", import.meta.url)}";
    const redis = new Redis(${JSON.stringify(url)});
    await Promise.all([redis.send(["PING"]), redis.send(["PING"])]);
    console.log("ready");
    let before = performance.now();
    while (performance.now() - before < 1000) {
      before = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const startedAt = performance.now();
    const reply = await redis.send(["INCR", "woken"]).catch(String);
    const tookMs = performance.now() - startedAt;
    console.log(JSON.stringify({ reply, tookMs, evicted: redis.stats().evicted }));
    await redis.close();
  `;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--ext=ts",
      ...importFlags,
      program,
    ],
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("ready\n")) text += (await lines.read()).value ?? "";
  await delay(200); // it is in its loop now
  Deno.kill(child.pid, "SIGSTOP");
  between();
  await delay(frozenMs);
  Deno.kill(child.pid, "SIGCONT");
  for (let part = await lines.read(); !part.done; part = await lines.read()) {
    text += part.value;
  }
  await child.status;
  return JSON.parse(text.slice(text.indexOf("{")));
}

Deno.test("a frozen client wakes up to connections that the server has closed", async () => {
  await using server = await startRedis({ config: { timeout: 1 } });
  const woken = await freeze(server.url, 3500, () => {});
  assertEquals(woken.reply, 1);
  assert(woken.tookMs < 1000, `it took ${woken.tookMs} ms`);
});

Deno.test("a frozen client wakes up to connections that have gone silent", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const woken = await freeze(
    proxy.url,
    3000,
    () => proxy.silence({ scope: "open" }),
  );
  assertEquals(woken.reply, 1);
  assert(woken.tookMs < 2000, `it took ${woken.tookMs} ms`);
});
