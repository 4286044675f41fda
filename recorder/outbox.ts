// Events accepted and not yet acknowledged: in order, bounded.
import type { Entry } from "./event.ts";

/** A first-in, first-out queue of entries. Its size is counted in members, each one event. */
export class Outbox {
  readonly capacity: number;
  #entries: Entry[] = [];
  #head = 0;
  #pending = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Events held. */
  get pending(): number {
    return this.#pending;
  }

  /** Holds an entry if there is room for all its members. */
  offer(entry: Entry): boolean {
    if (this.#pending + entry.members.length > this.capacity) return false;
    this.#entries.push(entry);
    this.#pending += entry.members.length;
    return true;
  }

  /** The first entries, up to about `most` events. They stay until {@linkcode Outbox.acknowledge}. */
  peek(most: number): Entry[] {
    const first: Entry[] = [];
    let events = 0;
    for (let i = this.#head; i < this.#entries.length && events < most; i++) {
      const entry = this.#entries[i]!;
      first.push(entry);
      events += entry.members.length;
    }
    return first;
  }

  /** Removes the first `count` entries. Those in `again` go to the end. */
  acknowledge(count: number, again: readonly Entry[] = []): void {
    for (let i = 0; i < count; i++) {
      this.#pending -= this.#entries[this.#head++]!.members.length;
    }
    if (this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    for (const entry of again) {
      this.#entries.push(entry);
      this.#pending += entry.members.length;
    }
  }
}
