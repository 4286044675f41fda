// Cold start of ioredis: one event recorded, then the end.

import { printPeak } from "../cold/peak.ts";
import { event } from "./event.ts";

const library = "ioredis";
const { Redis } = await import(library);
const redis = new Redis(Deno.args[0]);
await redis.zadd(...event());
redis.disconnect();
printPeak();
