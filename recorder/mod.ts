// Webhook events to sorted sets.
export type { RecordOutcome } from "./delivery.ts";
export type { RecorderStats } from "./dispatcher.ts";
export type { WebhookEvent } from "./event.ts";
export {
  type RecorderOptions,
  type RecordErrorInfo,
  WebhookRecorder,
} from "./recorder.ts";
export type { Sender } from "./sender.ts";
