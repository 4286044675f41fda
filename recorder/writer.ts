// How a chunk of events is written: its ZADDs, and what trims the sets that have acknowledged theirs.
import { type Command, type Reply, ReplyError } from "../resp/mod.ts";
import { lastingAbort } from "../client/lasting_abort.ts";
import type { SendOptions } from "../client/mod.ts";
import { type Batch, zadd } from "./batch.ts";
import type { Delivery } from "./delivery.ts";
import { Retention, type TrimRefusal } from "./retention.ts";
import type { Sender } from "./sender.ts";

/** For each batch the error reply, or `undefined` if it was acknowledged. */
type Refusals = readonly (ReplyError | undefined)[];

const ACKNOWLEDGED: Refusals = [undefined];

/** At most this much is on its way at once: more would only wait in the client. */
const WINDOW = { calls: 500, events: 50_000 };

/** How many microtasks a caller may take from an acknowledgement to its next event. */
const TURNAROUND = 12;

/**
 * Writes batches.
 *
 * - A batch is one ZADD; those of a chunk travel in one flush.
 * - A set that has acknowledged its ZADD is trimmed with the next chunk, or in
 *   a flush of its own if none follows at once. No caller waits for it.
 * - A redelivered member keeps the later of its times: ZADD GT, of Redis 6.2
 *   and later. On an older server the one written last wins.
 */
export class Writer {
  /** With what everything is sent: twice does no harm, since members and scores are never remade. */
  readonly options: SendOptions;
  readonly #sender: Sender;
  readonly #retention: Retention | undefined;
  readonly #onTrimRefused: (error: Error, delivery: Delivery) => void;
  readonly #onRoom: () => void;
  readonly #ending = lastingAbort();
  #knowsGt = true;
  #trimming: Promise<void> | undefined;
  #isTrimRefused = false;
  #calls = 0;
  #events = 0;

  /**
   * @param sender Where to write.
   * @param retentionSeconds How long members stay; `undefined` for ever.
   * @param onTrimRefused Told that sets can be written and not trimmed, until one could be.
   * @param onRoom Told each time that something is no longer on its way.
   */
  constructor(
    sender: Sender,
    retentionSeconds: number | undefined,
    onTrimRefused: (error: Error, delivery: Delivery) => void,
    onRoom: () => void,
  ) {
    this.#sender = sender;
    this.#retention = retentionSeconds === undefined
      ? undefined
      : new Retention(retentionSeconds);
    this.#onTrimRefused = onTrimRefused;
    this.#onRoom = onRoom;
    this.options = { replay: "always", signal: this.#ending.signal };
  }

  /** Whether nothing more should be written now. */
  get isFull(): boolean {
    return this.#calls >= WINDOW.calls || this.#events >= WINDOW.events;
  }

  /** Resolves once the sets written so far are trimmed, or cannot be. */
  async trimmed(): Promise<void> {
    await this.#trimming;
  }

  /** Ends what is on its way. */
  abort(reason: unknown): void {
    this.#ending.abort(reason);
  }

  /**
   * Writes batches.
   *
   * @param batches What to write. Whatever happens, writing them again does no harm.
   * @param options How to send it.
   * @returns For each batch the error reply, or `undefined` if it was acknowledged.
   * @throws What the client throws if the call as a whole failed.
   */
  async write(
    batches: readonly Batch[],
    options: SendOptions,
  ): Promise<Refusals> {
    const retention = this.#retention;
    const now = retention === undefined ? 0 : performance.now();
    const knowsGt = this.#knowsGt;
    const commands = batches.map((batch) =>
      zadd(batch, knowsGt && batch.isRepeatable)
    );
    const size = batches.reduce((sum, { members }) => sum + members, 0);
    this.#calls++;
    this.#events += size;
    let refusals: Refusals;
    try {
      refusals = retention !== undefined &&
          (retention.size > 0 || retention.clock.isStale(now))
        ? await this.#pipeline(commands, options, retention, now)
        : commands.length === 1
        ? await this.#send(commands[0]!, options)
        : (await this.#sender.pipeline(commands, options)).map(refusalOf);
    } catch (error) {
      retention?.clock.forget(); // the next server may have another one
      throw error;
    } finally {
      this.#calls--;
      this.#events -= size;
      this.#onRoom();
    }
    if (
      knowsGt &&
      batches.some((batch, i) =>
        batch.isRepeatable && isSyntaxError(refusals[i])
      )
    ) {
      this.#knowsGt = false;
      return this.write(batches, options);
    }
    if (retention !== undefined) this.#written(batches, refusals, retention);
    return refusals;
  }

  async #send(command: Command, options: SendOptions): Promise<Refusals> {
    try {
      await this.#sender.send(command, options);
      return ACKNOWLEDGED;
    } catch (error) {
      if (error instanceof ReplyError) return [error];
      throw error;
    }
  }

  /** Sends commands, and with them what trims the sets that were written before. */
  async #pipeline(
    commands: Command[],
    options: SendOptions,
    retention: Retention,
    now: number,
  ): Promise<Refusals> {
    const { clock } = retention;
    const { length } = commands;
    const asksTime = clock.isStale(now);
    const sets = asksTime ? [] : retention.take();
    for (const set of sets) retention.trim(set, now, commands);
    if (asksTime) commands.push(["TIME"]);
    let replies: Reply[];
    try {
      replies = await this.#sender.pipeline(commands, options);
    } catch (error) {
      for (const set of sets) retention.add(set);
      throw error;
    }
    if (asksTime) clock.set(replies.pop());
    else this.#trimmed(retention.refusalIn(replies.slice(length), sets));
    return replies.slice(0, length).map(refusalOf);
  }

  /** Sets were trimmed, or this was refused: one of a row of refusals is told. */
  #trimmed(refusal: TrimRefusal | undefined): void {
    if (refusal !== undefined && !this.#isTrimRefused) {
      this.#onTrimRefused(refusal.error, refusal.delivery);
    }
    this.#isTrimRefused = refusal !== undefined;
  }

  #written(
    batches: readonly Batch[],
    refusals: Refusals,
    retention: Retention,
  ): void {
    batches.forEach(({ deliveries }, i) => {
      if (refusals[i] !== undefined) return;
      for (const delivery of deliveries) retention.add(delivery);
    });
    if (retention.size > 0) this.#trimming ??= this.#trim(retention);
  }

  /** Trims what no chunk has taken along. */
  async #trim(retention: Retention): Promise<void> {
    for (let i = 0; i < TURNAROUND && retention.size > 0; i++) await undefined;
    try {
      while (retention.size > 0) {
        await this.#pipeline([], this.options, retention, performance.now());
      }
    } catch {
      // The next chunk tries again.
    } finally {
      this.#trimming = undefined;
    }
  }
}

const refusalOf = (reply: Reply): ReplyError | undefined =>
  reply instanceof ReplyError ? reply : undefined;

/** What a server before 6.2 says of GT. */
const isSyntaxError = (error: ReplyError | undefined): boolean =>
  error?.message.startsWith("ERR syntax error") ?? false;
