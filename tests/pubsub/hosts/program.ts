// A program for Node and Bun: a subscription that outlives its connection. It must end by itself.
import process from "node:process";
import { Redis } from "../../../mod.ts";
import { Subscriber } from "../../../pubsub/mod.ts";

const url = process.argv[2]!;
const redis = new Redis(url);
const subscriber = new Subscriber(url);
const subscription = await subscriber.subscribe("a");
const shown: string[] = [];
await redis.send(["PUBLISH", "a", "before"]);
for await (const item of subscription) {
  shown.push(item.type === "message" ? item.payload : item.type);
  if (item.type === "message" && item.payload === "before") {
    await redis.send(["CLIENT", "KILL", "TYPE", "pubsub"]);
  }
  if (item.type === "gap") await redis.send(["PUBLISH", "a", "after"]);
  if (shown.includes("after")) break;
}
await redis.close();
await subscriber.close();
console.log(JSON.stringify(shown));
