// The limiter of this module: a blacklist, which keeps the events that it counts.

import { Blacklist, Redis, WebhookRecorder } from "../../mod.ts";
import { work } from "./worker.ts";

await work((url, { limit, windowSeconds, blockSeconds }) => {
  const redis = new Redis(url);
  const recorder = new WebhookRecorder(redis, {
    retentionSeconds: windowSeconds,
  });
  const blacklist = new Blacklist(recorder, {
    limit,
    windowSeconds,
    blockSeconds: Math.max(1, blockSeconds),
  });
  return {
    async decide({ mallId, shopNo }) {
      const event = { mallId, shopNo, eventType: "order_created" };
      return !(await blacklist.record(event)).isBlocked;
    },
    block: (shop) => blacklist.block(shop),
    async close() {
      await recorder.close();
      await redis.close();
    },
  };
});
