// Events on their way to Redis: in order, bounded, and taken in chunks.
import type { Delivery } from "./delivery.ts";

/**
 * A chunk has at most this many events and about this many bytes, or a single
 * delivery: so many members in one ZADD block the server for a millisecond.
 */
const CHUNK = { events: 1000, bytes: 256 * 1024 };

/** A first-in, first-out queue of deliveries. Its size is counted in members, each one event. */
export class Outbox {
  readonly capacity: number;
  #deliveries: Delivery[] = [];
  #head = 0;
  #pending = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Events held. */
  get pending(): number {
    return this.#pending;
  }

  /** Holds a delivery if there is room for all its members. */
  offer(delivery: Delivery): boolean {
    if (this.#pending + delivery.count > this.capacity) return false;
    this.#push(delivery);
    return true;
  }

  /** The first delivery, which has waited longest. */
  get first(): Delivery | undefined {
    return this.#deliveries[this.#head];
  }

  /** The first deliveries, one chunk of them. They stay until {@linkcode Outbox.acknowledge}. */
  peek(): Delivery[] {
    const first: Delivery[] = [];
    let events = 0;
    let bytes = 0;
    for (let i = this.#head; i < this.#deliveries.length; i++) {
      const delivery = this.#deliveries[i]!;
      events += delivery.count;
      bytes += delivery.bytes;
      if (
        first.length > 0 && (events > CHUNK.events || bytes > CHUNK.bytes)
      ) break;
      first.push(delivery);
    }
    return first;
  }

  /** Removes the first `count` deliveries. Those in `again` go to the end. */
  acknowledge(count: number, again: readonly Delivery[] = []): void {
    for (let i = 0; i < count; i++) {
      this.#pending -= this.#deliveries[this.#head++]!.count;
    }
    if (this.#head * 2 > this.#deliveries.length) {
      this.#deliveries = this.#deliveries.slice(this.#head);
      this.#head = 0;
    }
    for (const delivery of again) this.#push(delivery);
  }

  /** Removes all deliveries and returns them. */
  clear(): Delivery[] {
    const all = this.#deliveries.slice(this.#head);
    this.#deliveries = [];
    this.#head = 0;
    this.#pending = 0;
    return all;
  }

  #push(delivery: Delivery): void {
    this.#deliveries.push(delivery);
    this.#pending += delivery.count;
  }
}
