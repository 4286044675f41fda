// Cold start of ours: one event recorded, then the end.

import { Redis, WebhookRecorder } from "../../mod.ts";
import { printPeak } from "./peak.ts";

const redis = new Redis(Deno.args[0]!);
const { status } = await new WebhookRecorder(redis).record({
  mallId: "mall1",
  shopNo: 1,
  eventType: "order_created",
});
if (status !== "recorded") throw new Error(`Cannot count: ${status}`);
await redis.close();
printPeak();
