// Cold start of node-redis on Node or Bun: one event recorded, then the end.
import process from "node:process";
import { event } from "../../../bench/peers/event.ts";

const library = "redis";
const { createClient } = await import(library);
const redis = createClient({ url: process.argv.at(-1) });
await redis.connect();
await redis.sendCommand(["ZADD", ...event()]);
redis.destroy();
