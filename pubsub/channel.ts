// One channel, pattern or shard channel that is subscribed to, for all subscriptions that name it.
import type { Loss } from "./items.ts";

/** What a name stands for: a channel, a pattern of channels, or a channel of one hash slot. */
export type ChannelKind = "channel" | "pattern" | "shard";

/** The commands of a kind. In lower case they are the first words of their answers. */
export const COMMANDS: Readonly<
  Record<ChannelKind, { readonly add: string; readonly remove: string }>
> = {
  channel: { add: "SUBSCRIBE", remove: "UNSUBSCRIBE" },
  pattern: { add: "PSUBSCRIBE", remove: "PUNSUBSCRIBE" },
  shard: { add: "SSUBSCRIBE", remove: "SUNSUBSCRIBE" },
};

/** Where channels are subscribed. */
export interface Place {
  /** The present, Unix time in milliseconds, or when what has come together began to be taken. */
  readonly now: number;
  /** A listener that takes bytes has come. */
  needBytes(): void;
  /** Lets go of channels that nothing listens to. */
  drop(channels: readonly Channel[]): void;
  /** A listener that had no room has some. */
  resume(listener: Listener): void;
  /** Something waits to be read from a listener: it gets a moment before more is read. */
  waitFor(listener: Listener): void;
  /** Nothing waits any more. */
  drained(listener: Listener): void;
}

/** What takes the messages of a channel. */
export interface Listener {
  /** Whether payloads become bytes. */
  readonly binary: boolean;
  /**
   * A message has come.
   *
   * @returns Whether the listener has no room for another one.
   */
  deliver(
    channel: string,
    pattern: string | undefined,
    payload: string | Uint8Array,
    place: Place,
  ): boolean;
  /** The server has acknowledged it: messages come from now on. */
  back(channel: Channel, now: number): void;
  /** What gathered while replies were taken is to be delivered. */
  settle(): void;
  /** Nothing comes until {@linkcode Listener.back}. */
  lost(channels: readonly Channel[], loss: Loss): void;
  /** The server refuses it, or it cannot be reached. */
  refused(channel: Channel, error: Error, isFinal: boolean): void;
}

/** A name, and what listens to it. */
export class Channel {
  readonly kind: ChannelKind;
  readonly name: string;
  readonly #listeners = new Set<Listener>();
  #only: Listener | undefined; // if there is no other
  /** Where it is subscribed, or about to be. */
  place: Place | undefined;
  /**
   * When the subscription was sent that the server has acknowledged, Unix time in
   * milliseconds; `undefined` while it has not. What was published between the two
   * may come, so what is lost of it belongs to the next loss.
   */
  activeSince: number | undefined;
  /** Attempts to subscribe that have failed in a row. */
  failures = 0;
  /** What the last of these has failed with. */
  failure: Error | undefined;

  /**
   * @param kind What the name stands for.
   * @param name The name.
   */
  constructor(kind: ChannelKind, name: string) {
    this.kind = kind;
    this.name = name;
  }

  /** Whether anything listens. */
  get isWanted(): boolean {
    return this.#listeners.size > 0;
  }

  /** What gets its messages, in the order of coming. */
  get listeners(): ReadonlySet<Listener> {
    return this.#listeners;
  }

  /** Whether a listener takes bytes. */
  get needsBytes(): boolean {
    for (const { binary } of this.#listeners) if (binary) return true;
    return false;
  }

  /** Adds a listener; the same one twice is one. */
  add(listener: Listener): void {
    this.#listeners.add(listener);
    this.#noteOnly();
  }

  /** Removes a listener. */
  remove(listener: Listener): void {
    this.#listeners.delete(listener);
    this.#noteOnly();
  }

  /**
   * A message has come.
   *
   * @param onFull Called for each listener that has no room for another one.
   */
  deliver(
    channel: string,
    pattern: string | undefined,
    payload: string | Uint8Array,
    place: Place,
    onFull: (listener: Listener) => void,
  ): void {
    const only = this.#only; // an iteration costs 20 ns
    if (only !== undefined) {
      if (only.deliver(channel, pattern, payload, place)) onFull(only);
      return;
    }
    for (const listener of this.#listeners) {
      if (listener.deliver(channel, pattern, payload, place)) onFull(listener);
    }
  }

  #noteOnly(): void {
    const { size } = this.#listeners;
    this.#only = size === 1 ? this.#listeners.values().next().value : undefined;
  }
}
