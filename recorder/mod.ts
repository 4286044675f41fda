// Webhook events to sorted sets.
export type { WebhookEvent } from "./event.ts";
export {
  type RecorderOptions,
  type RecordErrorInfo,
  type RecordOutcome,
  WebhookRecorder,
} from "./recorder.ts";
