// What waits for the reader of a subscription, or for its callbacks.
import { decodeText } from "../resp/receive_buffer.ts";
import { ClosedError } from "../pool/errors.ts";
import { Callbacks } from "./callbacks.ts";
import type { Channel, Listener, Place } from "./channel.ts";
import { QueueFullError } from "./errors.ts";
import {
  type Gap,
  gapOf,
  type Item,
  type Loss,
  mergedGap,
  type Message,
} from "./items.ts";
import { ItemQueue } from "./item_queue.ts";
import type { SubscribeOptions, WhenFull } from "./options.ts";

/** Options of an {@linkcode Inbox}. */
export interface InboxOptions {
  /** The options of its user. */
  readonly options: SubscribeOptions<boolean>;
  /** How many messages may wait. */
  readonly maxQueued: number;
  /** How large the payloads of those that wait may be together: bytes, or characters of text. */
  readonly maxQueuedBytes: number;
  readonly whenFull: WhenFull;
  /** Its channels. */
  readonly channels: readonly Channel[];
  /** Lets go of the channels. */
  readonly leave: () => void;
  /** A message was dropped. */
  readonly onDropped: () => void;
  /** A gap is delivered. */
  readonly onGap: () => void;
}

type Payload = string | Uint8Array;

/** Messages that were dropped, since when and until when, Unix time in milliseconds. */
interface Dropped {
  count: number;
  readonly from: number;
  until: number;
}

/** What waits for the reader of a subscription, or for its callbacks. */
export class Inbox implements Listener {
  readonly binary: boolean;
  readonly names: readonly string[];
  /** Resolves when the server has acknowledged every channel. */
  readonly active: Promise<void>;
  readonly #parts: InboxOptions;
  readonly #queue = new ItemQueue<Payload>();
  readonly #callbacks: Callbacks | undefined; // in place of a reader
  readonly #pending: Set<Channel>; // never acknowledged so far
  readonly #losses = new Map<Channel, Loss>();
  readonly #blocked = new Set<Place>();
  readonly #awaiting = new Set<Place>(); // that wait until what has come is read
  readonly #activation = Promise.withResolvers<void>();
  #waiters: PromiseWithResolvers<IteratorResult<Item<Payload>, undefined>>[] =
    [];
  #gathered: Gap | undefined; // of the channels that are back, until the next message
  #gatheredNames: string[] = [];
  #dropped: Dropped | undefined;
  #onEnd: (() => void) | undefined;
  #end: { readonly error: unknown; readonly isError: boolean } | undefined;

  /** @param parts See {@linkcode InboxOptions}. */
  constructor(parts: InboxOptions) {
    this.#parts = parts;
    this.binary = parts.options.binary ?? false;
    this.names = parts.channels.map(({ name }) => name);
    this.#pending = new Set(parts.channels);
    if (parts.options.onMessage !== undefined) {
      this.#callbacks = new Callbacks(parts.options, () => this.#take());
    }
    this.active = this.#activation.promise;
    this.active.catch(() => {}); // its subscriber may not be waiting yet
  }

  get queued(): number {
    return this.#queue.messages;
  }

  get isEnded(): boolean {
    return this.#end !== undefined;
  }

  /** What the last attempt failed with to subscribe a channel that was never acknowledged. */
  get failure(): Error | undefined {
    for (const { failure } of this.#pending) {
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  deliver(
    channel: string,
    pattern: string | undefined,
    raw: Payload,
    place: Place,
  ): boolean {
    if (this.#end !== undefined) return false;
    if (this.#gathered !== undefined) {
      this.settle();
      if (this.isEnded) return false; // by onGap
    }
    const payload = this.binary
      ? raw
      : typeof raw === "string"
      ? raw
      : decodeText(raw);
    // The bytes of this message had begun to come before there was need of bytes.
    if (this.binary && typeof payload === "string") return false;
    const message: Message<Payload> = {
      type: "message",
      channel,
      pattern,
      payload,
    };
    if (this.#offer(message)) return false;
    return this.#enqueue(message, place);
  }

  back(channel: Channel, now: number): void {
    if (this.#end !== undefined) return;
    const loss = this.#losses.get(channel);
    if (loss !== undefined) {
      this.#losses.delete(channel);
      this.#gatheredNames.push(channel.name);
      const gap = gapOf(loss, now, this.#gatheredNames);
      this.#gathered = this.#gathered === undefined
        ? gap
        : mergedGap(this.#gathered, gap);
      return;
    }
    if (!this.#pending.delete(channel) || this.#pending.size > 0) return;
    this.#activation.resolve();
  }

  settle(): void {
    const gap = this.#gathered;
    if (gap === undefined) return;
    this.#gathered = undefined;
    this.#gatheredNames = [];
    this.#parts.onGap();
    this.#handOver(gap);
  }

  lost(channels: readonly Channel[], loss: Loss): void {
    if (this.#end !== undefined) return;
    const lost = channels.filter((channel) =>
      !this.#pending.has(channel) && !this.#losses.has(channel)
    );
    for (const channel of lost) this.#losses.set(channel, loss);
    if (lost.length === 0) return;
    this.settle();
    if (this.isEnded) return; // by onGap
    this.#handOver({
      type: "away",
      channels: lost.length === this.names.length
        ? this.names
        : lost.map(({ name }) => name),
      ...loss,
    });
  }

  refused(channel: Channel, error: Error, isRefusal: boolean): void {
    if (this.#end !== undefined) return;
    // A password may be changed again; what was subscribed waits for that.
    if (isRefusal || this.#pending.has(channel)) this.refuse(error);
  }

  /**
   * Ends it: what waits is delivered first.
   *
   * @param reason What the wait for the server fails with, if there is one.
   */
  end(reason?: Error): void {
    this.#finish(reason, false);
  }

  /** Ends it with an error: what waits is delivered first. */
  refuse(error: Error): void {
    this.#finish(error, true);
  }

  /** Calls `fn` when it ends. */
  onEnd(fn: () => void): void {
    this.#onEnd = fn;
  }

  /** Ends it, and drops what waits. */
  abandon(): void {
    this.#drop();
    this.end();
  }

  /** Ends it by an abort: what waits is dropped, and the reader gets the reason. */
  abort(reason: unknown): void {
    if (this.#end === undefined) this.#drop();
    this.#finish(reason, true);
  }

  next(): Promise<IteratorResult<Item<Payload>, undefined>> {
    if (this.#callbacks !== undefined) {
      return Promise.reject(
        new TypeError(
          "Cannot iterate a subscription with onMessage: expected one or the other",
        ),
      );
    }
    const item = this.#take();
    if (item !== undefined) {
      return Promise.resolve({ value: item, done: false });
    }
    if (this.#end === undefined) {
      const waiter = Promise.withResolvers<
        IteratorResult<Item<Payload>, undefined>
      >();
      this.#waiters.push(waiter);
      return waiter.promise;
    }
    if (!this.#end.isError) {
      return Promise.resolve({ value: undefined, done: true });
    }
    const { error } = this.#end;
    this.#end = { error: undefined, isError: false }; // it is thrown once
    return Promise.reject(error);
  }

  /** The next item to be delivered, if there is one. */
  #take(): Item<Payload> | undefined {
    const dropped = this.#dropped;
    if (dropped !== undefined) {
      this.#dropped = undefined;
      this.#parts.onGap();
      return this.#gapOf(dropped);
    }
    if (this.#queue.isEmpty) return undefined;
    const item = this.#queue.shift();
    if (this.#blocked.size > 0 && this.#hasRoom) this.#unblock();
    if (this.#queue.isEmpty) this.#noteDrained();
    return item;
  }

  #enqueue(message: Message<Payload>, place: Place): boolean {
    const queue = this.#queue;
    const { whenFull, maxQueued } = this.#parts;
    if (this.#isFull(message.payload.length)) {
      if (whenFull === "fail") {
        this.#finish(
          new QueueFullError(message.channel, queue.messages),
          true,
        );
        return false;
      }
      if (whenFull === "drop-oldest") this.#dropFor(message.payload.length);
    }
    if (!this.#awaiting.has(place)) {
      this.#awaiting.add(place);
      place.waitFor(this);
    }
    // Only what may be dropped needs the time; a clock costs as much as a place in the queue.
    queue.push(message, whenFull === "drop-oldest" ? place.now : 0);
    if (whenFull !== "block") return false;
    if (queue.messages < maxQueued && !this.#isFull(0)) return false;
    this.#blocked.add(place);
    return true;
  }

  /** Whether a payload of that size has no room. A single one always has. */
  #isFull(size: number): boolean {
    const { maxQueued, maxQueuedBytes } = this.#parts;
    return this.#queue.messages >= maxQueued ||
      (this.#queue.size + size > maxQueuedBytes && this.#queue.messages > 0);
  }

  get #hasRoom(): boolean {
    const { maxQueued, maxQueuedBytes } = this.#parts;
    return this.#queue.messages <= maxQueued / 2 &&
      this.#queue.size <= maxQueuedBytes / 2;
  }

  #dropFor(size: number): void {
    const now = Date.now();
    const dropped = this.#dropped ??= {
      count: 0,
      from: this.#queue.since,
      until: now,
    };
    dropped.until = now;
    while (this.#isFull(size)) {
      const item = this.#queue.shift();
      if (item.type !== "message") continue; // the gap of what is dropped covers it
      dropped.count++;
      this.#parts.onDropped();
    }
  }

  #gapOf({ count, from, until }: Dropped): Gap {
    const { maxQueued, maxQueuedBytes } = this.#parts;
    const reason =
      `${count} messages were dropped: more waited for the reader than maxQueued, ${maxQueued}, or maxQueuedBytes, ${maxQueuedBytes}, allow`;
    return gapOf({ from, reason, report: undefined }, until, this.names, count);
  }

  /** Delivers what is no message. It takes no place in the queue. */
  #handOver(item: Exclude<Item<Payload>, Message<Payload>>): void {
    if (!this.#offer(item)) this.#queue.pushGap(item);
  }

  /** Delivers an item at once, if a reader or a callback is free to take it. */
  #offer(item: Item<Payload>): boolean {
    if (this.#callbacks !== undefined) return this.#callbacks.offer(item);
    const waiter = this.#waiters.shift();
    if (waiter === undefined) return false;
    waiter.resolve({ value: item, done: false });
    return true;
  }

  #finish(error: unknown, isError: boolean): void {
    if (this.#end !== undefined) return;
    this.settle();
    if (this.isEnded) return; // by onGap
    this.#end = { error: isError ? error : undefined, isError };
    this.#onEnd?.();
    this.#losses.clear();
    this.#parts.leave();
    this.#unblock();
    this.#noteDrained();
    if (this.#pending.size > 0) {
      this.#activation.reject(
        error ?? new ClosedError(
          `Cannot subscribe to ${
            JSON.stringify(this.names[0])
          }: it was unsubscribed first`,
        ),
      );
    }
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      this.next().then(waiter.resolve, waiter.reject);
    }
    this.#callbacks?.end(this.#end.error);
  }

  #drop(): void {
    this.#queue.clear();
    this.#dropped = undefined;
    this.#gathered = undefined;
  }

  #noteDrained(): void {
    const places = [...this.#awaiting];
    this.#awaiting.clear();
    for (const place of places) place.drained(this);
  }

  #unblock(): void {
    const places = [...this.#blocked];
    this.#blocked.clear();
    for (const place of places) place.resume(this);
  }
}
