// A program that subscribes and prints what it gets, to be stopped and continued.
//
//     deno run -A tests/pubsub/frozen_subscriber.ts redis://127.0.0.1:6379

import { Subscriber } from "../../pubsub/mod.ts";

await using subscriber = new Subscriber(Deno.args[0], {
  pingIntervalMs: 60_000,
});
const subscription = await subscriber.subscribe("a");
console.log(JSON.stringify({ type: "ready" }));
for await (const item of subscription) {
  console.log(JSON.stringify(item));
  if (item.type === "gap") break;
}
