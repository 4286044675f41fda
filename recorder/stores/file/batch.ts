// Changes of the log as the records of one commit.
import { MAX_ID } from "../../outbox/outbox_store.ts";
import type { Index } from "./index.ts";
import type { Place } from "./places.ts";
import { ascii, FRAME, recordOf } from "./record.ts";

/** One change of the log: events that are added (by their bodies), removed or set aside. */
export type Change =
  | {
    readonly kind: "+";
    readonly ids: readonly string[];
    readonly bodies: readonly string[];
  }
  | { readonly kind: "-"; readonly ids: readonly string[] }
  | {
    readonly kind: "!";
    readonly ids: readonly string[];
    readonly reason: string;
  };

/** What a record does to the index once it is durable. */
export type Effect = readonly [kind: Change["kind"], id: string, Place];

/** Events that have no room. */
export interface Excess {
  readonly events: number;
  readonly bytes: number;
}

/** What removing an event takes at most. */
export const REMOVAL: number = FRAME + 2 + MAX_ID;
/** An error text of a server is shorter. */
const MAX_REASON = 1000;
/** As many ids have room in a record. */
const IDS = 10_000;

/** The records of a commit, and what they do. The index is not changed. */
export class Batch {
  readonly lines: string[] = [];
  readonly effects: Effect[] = [];
  readonly #index: Index;
  readonly #generation: number;
  readonly #maxBytes: number;
  /** Whether events are there, where the batch has changed that. */
  readonly #present = new Map<string, boolean>();
  /** Where the next record begins. */
  #offset: number;
  /** How many events it adds, less those it removes. */
  #added = 0;

  constructor(log: {
    readonly index: Index;
    readonly generation: number;
    readonly offset: number;
    readonly maxBytes: number;
  }) {
    this.#index = log.index;
    this.#generation = log.generation;
    this.#offset = log.offset;
    this.#maxBytes = log.maxBytes;
  }

  /** Adds a change, unless it has no room. */
  encode(change: Change): Excess | undefined {
    switch (change.kind) {
      case "+":
        return this.#add(change.ids, change.bodies);
      case "-":
        this.#remove(change.ids.filter((id) => this.#isPresent(id)));
        return undefined;
      case "!":
        this.#setAside(change.ids, change.reason);
        return undefined;
    }
  }

  /** Removes events from the file that are not in the index any more. */
  removeAgain(ids: ReadonlySet<string>): void {
    this.#remove([...ids]);
  }

  #add(
    ids: readonly string[],
    bodies: readonly string[],
  ): Excess | undefined {
    let bytes = 0;
    const fresh: number[] = [];
    for (let n = 0; n < ids.length; n++) {
      if (this.#isPresent(ids[n]!)) continue;
      bytes += bodies[n]!.length + FRAME;
      fresh.push(n);
    }
    const events = fresh.length;
    const reserved = (this.#index.events + this.#added + events) * REMOVAL;
    if (this.#offset + bytes + reserved > this.#maxBytes) {
      return { events, bytes };
    }
    for (const n of fresh) {
      const id = ids[n]!;
      if (this.#present.get(id)) continue; // twice in one call
      this.effects.push(["+", id, this.#write(bodies[n]!)]);
      this.#present.set(id, true);
      this.#added++;
    }
    return undefined;
  }

  #remove(ids: readonly string[]): void {
    for (let n = 0; n < ids.length; n += IDS) {
      const some = ids.slice(n, n + IDS);
      const place = this.#write(`- ${some.join(" ")}`);
      for (const id of some) {
        this.effects.push(["-", id, place]);
        if (this.#isPresent(id)) this.#added--;
        this.#present.set(id, false);
      }
    }
  }

  #setAside(ids: readonly string[], reason: string): void {
    const json = ascii(JSON.stringify(reason.slice(0, MAX_REASON)));
    for (const id of ids) {
      if (!this.#isPresent(id)) continue;
      this.effects.push(["!", id, this.#write(`! ${id} ${json}`)]);
    }
  }

  #write(body: string): Place {
    const line = recordOf(body, this.#generation);
    const place = { offset: this.#offset, length: line.length };
    this.lines.push(line);
    this.#offset += line.length;
    return place;
  }

  #isPresent(id: string): boolean {
    return this.#present.get(id) ?? this.#index.has(id);
  }
}
