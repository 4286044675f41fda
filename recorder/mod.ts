// Webhook events to sorted sets.
export type {
  DroppedOutcome,
  QueuedOutcome,
  RecordedOutcome,
  RecordOutcome,
} from "./entry.ts";
export type { RecordErrorInfo } from "./error_info.ts";
export type { WebhookEvent } from "./event.ts";
export type { RecorderOptions } from "./options.ts";
export type { RecorderStats } from "./outcomes.ts";
export { WebhookRecorder } from "./recorder.ts";
export type { Sender } from "./sender.ts";
