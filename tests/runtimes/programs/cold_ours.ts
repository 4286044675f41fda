// Cold start of this module on Node or Bun: one event recorded, then the end.
import { Redis, WebhookRecorder } from "../../../mod.ts";

// An import of node:process makes its streams at once: 10 ms on Node.
declare const process: { readonly argv: string[] };

const redis = new Redis(process.argv.at(-1)!);
const { status } = await new WebhookRecorder(redis).record({
  mallId: "mall1",
  shopNo: 1,
  eventType: "order_created",
});
if (status !== "recorded") throw new Error(`Cannot count: ${status}`);
await redis.close();
