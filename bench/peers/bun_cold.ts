// Cold start of Bun's native client: one event recorded, then the end.

import { readFileSync } from "node:fs";
import process from "node:process";
import { event } from "./event.ts";

const library = "bun";
const { RedisClient } = await import(library);
const redis = new RedisClient(process.argv.at(-1));
await redis.zadd(...event());
redis.close();
const status = readFileSync("/proc/self/status", "utf8");
console.log(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? "0");
