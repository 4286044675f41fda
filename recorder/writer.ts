// How batches are written: one ZADD each, all of them in one flush.
import type { Command } from "../resp/types.ts";
import { ReplyError } from "../resp/errors.ts";
import type { SendOptions } from "../client/send_options.ts";
import { type Batch, zadd } from "./batch.ts";
import type { Retention } from "./retention.ts";
import type { Sender } from "./sender.ts";

/**
 * Writes batches. Sets that have acknowledged theirs are trimmed later.
 *
 * - A redelivered member keeps the later of its times: ZADD GT, of Redis 6.2
 *   and later. On an older server the time written last wins.
 */
export class Writer {
  /** With what everything is sent. */
  readonly options: SendOptions;
  readonly #sender: Sender;
  readonly #retention: Retention | undefined;
  #hasGt = true;

  constructor(
    sender: Sender,
    options: SendOptions,
    retention: Retention | undefined,
  ) {
    this.#sender = sender;
    this.options = options;
    this.#retention = retention;
  }

  /** Whether the client is closed: then nothing can be written any more. */
  get isClosed(): boolean {
    return this.#sender.isClosed;
  }

  /**
   * Writes batches. Afterwards each of them has its `refusal`, if the server refused it.
   *
   * @param batches One or more. To write them again does no harm.
   * @param options How to send them.
   * @throws What the client throws if the call failed as a whole.
   */
  async write(
    batches: readonly Batch[],
    options: SendOptions,
  ): Promise<void> {
    try {
      const commands = batches.map((batch) => this.#zadd(batch));
      const replies = commands.length === 1
        ? [await this.#sender.send(commands[0]!, options)]
        : await this.#sender.pipeline(commands, options);
      batches.forEach((batch, i) => batch.refusal = refusalIn(replies[i]));
    } catch (error) {
      const isRefusal = batches.length === 1 && error instanceof ReplyError;
      if (!isRefusal) {
        this.#retention?.forgetClock(); // the next server may have another one
        throw error;
      }
      batches[0]!.refusal = error;
    }
    if (batches.some(refusesGt)) {
      this.#hasGt = false;
      return await this.write(batches, options);
    }
    if (this.#retention === undefined) return;
    for (const { entries, refusal } of batches) {
      if (refusal === undefined) this.#retention.add(entries);
    }
  }

  #zadd({ entries, hasDeliveryId }: Batch): Command {
    return zadd(entries, hasDeliveryId && this.#hasGt);
  }
}

const refusalIn = (reply: unknown): ReplyError | undefined =>
  reply instanceof ReplyError ? reply : undefined;

/** Whether the server is older than 6.2: it has no GT. */
const refusesGt = ({ hasDeliveryId, refusal }: Batch): boolean =>
  hasDeliveryId && refusal instanceof ReplyError &&
  refusal.message.startsWith("ERR syntax error");
