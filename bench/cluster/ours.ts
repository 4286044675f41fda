// Ours: this module on a cluster, with its default options.

import { Redis, WebhookRecorder } from "../../mod.ts";
import { workOnCluster } from "./work.ts";

await workOnCluster((url) => {
  const redis = new Redis(url, { cluster: true });
  const recorder = new WebhookRecorder(redis);
  return Promise.resolve({
    zadd: (key, score, member) => redis.send(["ZADD", key, score, member]),
    record: (event) => recorder.record(event),
    close: () => redis.close(),
  });
});
