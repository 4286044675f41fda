// Cold start of node-redis: one event recorded, then the end.

import { printPeak } from "../cold/peak.ts";
import { event } from "./event.ts";

const library = "redis";
const { createClient } = await import(library);
const redis = createClient({ url: Deno.args[0] });
await redis.connect();
await redis.sendCommand(["ZADD", ...event()]);
redis.destroy();
printPeak();
