// Cold start of ioredis on Node or Bun: one event recorded, then the end.
import process from "node:process";
import { event } from "../../../bench/peers/event.ts";

const library = "ioredis";
const { Redis } = await import(library);
const redis = new Redis(process.argv.at(-1));
await redis.zadd(...event());
redis.disconnect();
