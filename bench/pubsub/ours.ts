// The subscriber of this module: by callback, or by its iterator.

import { Subscriber } from "@unzombie/redis/pubsub";
import { work } from "./worker.ts";

await work(async ({ row, url }, channels, onMessage) => {
  const subscriber = new Subscriber(url);
  if (row === "callback") await subscriber.subscribe(channels, { onMessage });
  else {
    const subscription = await subscriber.subscribe(channels);
    (async () => {
      for await (const { type } of subscription) {
        if (type === "message") onMessage();
      }
    })();
  }
  return () => subscriber.close();
});
