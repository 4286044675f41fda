// Cold start of ioredis on Node or Bun: one event recorded, then the end.
import { event } from "../../../bench/peers/event.ts";

// An import of node:process makes its streams at once: 10 ms on Node.
declare const process: { readonly argv: string[] };

const library = "ioredis";
const { Redis } = await import(library);
const redis = new Redis(process.argv.at(-1));
await redis.zadd(...event());
redis.disconnect();
