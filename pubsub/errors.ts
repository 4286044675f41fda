// The error of a subscription whose reader was too slow.

/**
 * A subscription with `whenFull: "fail"` had as many messages waiting as it may
 * hold. It has ended; what was waiting is delivered first.
 *
 * @example What it says
 * ```ts
 * import { QueueFullError } from "@unzombie/redis/pubsub";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new QueueFullError("news", 1000);
 * assertEquals(
 *   error.message,
 *   'Subscription of "news" ended: 1000 messages waited for its reader, and another one came (whenFull is "fail")',
 * );
 * ```
 */
export class QueueFullError extends Error {
  /** Always `"QueueFullError"`. */
  override readonly name = "QueueFullError";
  /** How many messages waited. */
  readonly queued: number;

  /**
   * Makes the error.
   *
   * @param channel The channel of the message that had no place.
   * @param queued How many messages waited.
   */
  constructor(channel: string, queued: number) {
    super(
      `Subscription of ${
        JSON.stringify(channel)
      } ended: ${queued} messages waited for its reader, and another one came (whenFull is "fail")`,
    );
    this.queued = queued;
  }
}
