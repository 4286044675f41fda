// A queue of what a subscription has not delivered yet.
import {
  type Away,
  type Gap,
  type Item,
  mergedGap,
  type Message,
} from "./items.ts";

const FIRST_CAPACITY = 64;
/** A ring of up to this many places never shrinks. */
const KEPT_CAPACITY = 4096;

/** One absence in place of two. */
const mergedAway = (first: Away, second: Away): Away => ({
  ...second,
  from: Math.min(first.from, second.from),
  channels: [...new Set([...first.channels, ...second.channels])],
});

/** What is left of an absence after some channels are back. */
function without(away: Away, gap: Gap): Away | undefined {
  const back = new Set(gap.channels);
  const channels = away.channels.filter((name) => !back.has(name));
  return channels.length === 0 ? undefined : { ...away, channels };
}

/**
 * Items in the order of coming.
 *
 * - Messages count, gaps do not: two that meet become one, so that there are at
 *   most two items behind each message that are none.
 */
export class ItemQueue<Payload extends string | Uint8Array> {
  #ring: (Item<Payload> | undefined)[] = new Array(FIRST_CAPACITY);
  #times: number[] = new Array(FIRST_CAPACITY).fill(0); // by the same index, when each came
  #head = 0;
  #length = 0;
  #messages = 0;
  #size = 0;

  /** How many messages it holds. */
  get messages(): number {
    return this.#messages;
  }

  /** How large their payloads are together: bytes, or characters of text. */
  get size(): number {
    return this.#size;
  }

  /** Whether it holds nothing. */
  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /** When the first item came, as it was said; there must be one. */
  get since(): number {
    return this.#times[this.#head]!;
  }

  /** Adds a message that came at a time. */
  push(message: Message<Payload>, at: number): void {
    this.#add(message, at);
    this.#messages++;
    this.#size += message.payload.length;
  }

  /** Adds what is no message: behind a message there is one gap at most, and one absence behind that. */
  pushGap(item: Gap | Away): void {
    const last = this.#popIf("away");
    if (item.type === "gap") {
      const before = this.#popIf("gap");
      const gap = before === undefined ? item : mergedGap(before, item);
      this.#add(gap, gap.from);
      const left = last === undefined ? undefined : without(last, item);
      if (left !== undefined) this.#add(left, left.from);
    } else {
      const away = last === undefined ? item : mergedAway(last, item);
      this.#add(away, away.from);
    }
  }

  /** Takes the first item; there must be one. */
  shift(): Item<Payload> {
    const item = this.#ring[this.#head]!;
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#length--;
    if (item.type === "message") {
      this.#messages--;
      this.#size -= item.payload.length;
    }
    if (this.#length === 0 && this.#ring.length > KEPT_CAPACITY) this.clear();
    return item;
  }

  /** Drops everything. */
  clear(): void {
    this.#ring = new Array(FIRST_CAPACITY);
    this.#times = new Array(FIRST_CAPACITY).fill(0);
    this.#head =
      this.#length =
      this.#messages =
      this.#size =
        0;
  }

  #add(item: Item<Payload>, at: number): void {
    if (this.#length === this.#ring.length) this.#grow();
    const index = (this.#head + this.#length++) & (this.#ring.length - 1);
    this.#ring[index] = item;
    this.#times[index] = at;
  }

  #grow(): void {
    const { length } = this.#ring;
    const ring: (Item<Payload> | undefined)[] = new Array(2 * length);
    const times: number[] = new Array(2 * length).fill(0);
    for (let i = 0; i < length; i++) {
      const from = (this.#head + i) & (length - 1);
      ring[i] = this.#ring[from];
      times[i] = this.#times[from]!;
    }
    this.#ring = ring;
    this.#times = times;
    this.#head = 0;
  }

  /** Removes the last item if it is of that type. */
  #popIf<Type extends "away" | "gap">(
    type: Type,
  ): Extract<Item, { readonly type: Type }> | undefined {
    if (this.#length === 0) return undefined;
    const index = (this.#head + this.#length - 1) & (this.#ring.length - 1);
    const last = this.#ring[index];
    if (last?.type !== type) return undefined;
    this.#ring[index] = undefined;
    this.#length--;
    return last as Extract<Item, { readonly type: Type }>;
  }
}
