// Cold start of node-redis on Node or Bun: one event recorded, then the end.
import { event } from "../../../bench/peers/event.ts";

// An import of node:process makes its streams at once: 10 ms on Node.
declare const process: { readonly argv: string[] };

const library = "redis";
const { createClient } = await import(library);
const redis = createClient({ url: process.argv.at(-1) });
await redis.connect();
await redis.sendCommand(["ZADD", ...event()]);
redis.destroy();
