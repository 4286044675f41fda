// Cold start of one checkout of the module: one event recorded, then the end.

import type { Module } from "../clients/ours_client.ts";

const [module, url] = Deno.args as [string, string];
const { Redis, WebhookRecorder } = await import(module) as Module;
const redis = new Redis(url);
const { status } = await new WebhookRecorder(redis).record({
  mallId: "mall1",
  shopNo: 1,
  eventType: "order_created",
});
if (status !== "recorded") throw new Error(`Cannot count: ${status}`);
await redis.close();
// Loaded last, and at the same cost in both.
const { user, system } = (await import("node:process")).cpuUsage();
console.log((user + system) / 1000);
