// An outbox on a shelf: each event in one part or several, in order of its id, up to a limit in bytes.
import {
  CHECKED_ELSEWHERE,
  checkOptions,
  checkWhole,
} from "../../client/check.ts";
import type { StoredEvent } from "../outbox/outbox_store.ts";
import {
  AFTER_QUEUED,
  ASIDE,
  eventOf,
  idIn,
  isStored,
  nameOf,
  partsOf,
  QUEUED,
  rangeOf,
} from "./parts.ts";
import { Room } from "./room.ts";
import type { Change, Item, Shelf } from "./shelf.ts";

/** The longest reason that is kept of why an event was set aside. */
const LONGEST_REASON = 1000;

/** How much an event takes that this outbox has put or found. */
interface Extent {
  readonly parts: number;
  readonly bytes: number;
}

/** @throws {TypeError} If an option is unknown, or `maxBytes` is not a number of bytes. */
export function checkShelfOptions(
  what: string,
  options: { readonly maxBytes?: number | undefined },
): void {
  checkOptions(options, {
    prefix: CHECKED_ELSEWHERE,
    maxBytes: CHECKED_ELSEWHERE,
  });
  const { maxBytes } = options;
  if (maxBytes === undefined) return;
  checkWhole(what, "maxBytes", maxBytes, {
    least: 0,
    most: Number.MAX_SAFE_INTEGER,
  });
}

/**
 * Keeps queued events on a shelf.
 *
 * - One call after the other reaches the shelf, in the order in which they are made.
 * - An event that is larger than a value may be is kept in parts, which come and go together.
 * - What is under the names of events and is none is handed out as it is by `load`, and
 *   never removed.
 */
export class ShelfOutbox {
  readonly #shelf: Shelf;
  readonly #room: Room;
  /** By id. Of an event that is not in it, the parts are looked up. */
  readonly #extents = new Map<string, Extent>();
  #last: Promise<unknown> = Promise.resolve();

  /** @param maxBytes How much there may be on the shelf, in bytes. */
  constructor(shelf: Shelf, maxBytes: number) {
    this.#shelf = shelf;
    this.#room = new Room(maxBytes, shelf.title, () => this.#measure());
  }

  /** See `OutboxStore.load`. */
  load(): Promise<AsyncIterable<StoredEvent>> {
    return this.#inTurn(() => Promise.resolve(this.#read()));
  }

  /** See `OutboxStore.append`. */
  append(entries: readonly StoredEvent[]): Promise<void> {
    return this.#inTurn(async () => {
      const extents: [id: string, Extent][] = [];
      let added = 0;
      const groups = entries.map((entry) => {
        const { id } = entry;
        const group = partsOf(entry, this.#shelf.largestValue)
          .map((value, part) => ({ name: nameOf(QUEUED, id, part), value }));
        const bytes = group.reduce((sum, change) => sum + bytesOf(change), 0);
        extents.push([id, { parts: group.length, bytes }]);
        added += bytes;
        return group;
      });
      await this.#room.need(added, entries.length);
      await this.#shelf.change(groups);
      this.#room.take(added);
      for (const [id, extent] of extents) this.#extents.set(id, extent);
    });
  }

  /** See `OutboxStore.remove`. */
  remove(ids: readonly string[]): Promise<void> {
    return this.#inTurn(async () => {
      const groups: Change[][] = [];
      let freed = 0;
      for (const id of ids) {
        const extent = this.#extents.get(id);
        if (extent === undefined) {
          const items = await this.#partsOf(id);
          if (items.length > 0) groups.push(items.map(removal));
          for (const item of items) freed += bytesOf(item);
        } else {
          groups.push(
            Array.from(
              { length: extent.parts },
              (_, part) => removal({ name: nameOf(QUEUED, id, part) }),
            ),
          );
          freed += extent.bytes;
        }
      }
      await this.#shelf.change(groups);
      for (const id of ids) this.#extents.delete(id);
      this.#room.give(freed);
    });
  }

  /** See `OutboxStore.setAside`. */
  setAside(ids: readonly string[], reason: string): Promise<void> {
    return this.#inTurn(async () => {
      const note = JSON.stringify({
        reason: reason.slice(0, LONGEST_REASON),
        at: new Date().toISOString(),
      });
      for (const id of ids) {
        const items = await this.#partsOf(id);
        this.#extents.delete(id);
        if (items.length === 0) continue; // removed by another process
        const parts = items.map(({ name, value }) => ({
          name: ASIDE + name.slice(QUEUED.length),
          value,
        }));
        // Three groups: each fits into a transaction that the event itself has fitted into.
        await this.#shelf.change([
          parts,
          [{ name: ASIDE + id, value: note }],
          items.map(removal),
        ]);
      }
    });
  }

  async *#read(): AsyncGenerator<StoredEvent, void> {
    let id: string | undefined;
    let parts: Item[] = [];
    for await (const item of this.#shelf.read(QUEUED, AFTER_QUEUED)) {
      const next = idIn(item.name);
      if (next !== id) {
        if (id !== undefined) {
          const event = this.#assemble(id, parts) ?? await this.#lookUp(id);
          if (event !== undefined) yield event;
        }
        parts = [];
        id = next;
      }
      if (id === undefined) yield foreign(item);
      else parts.push(item);
    }
    if (id === undefined) return;
    const event = this.#assemble(id, parts) ?? await this.#lookUp(id);
    if (event !== undefined) yield event;
  }

  /** The event that parts are of; `undefined` if they are not all of the parts of an event. */
  #assemble(id: string, parts: readonly Item[]): StoredEvent | undefined {
    const event = eventOf(id, parts.map(({ value }) => value));
    if (event === undefined) return undefined;
    const bytes = parts.reduce((sum, part) => sum + bytesOf(part), 0);
    this.#extents.set(id, { parts: parts.length, bytes });
    return event;
  }

  /** Reads again what was incomplete: between two pages another process may have removed it. */
  async #lookUp(id: string): Promise<StoredEvent | undefined> {
    const parts = await this.#partsOf(id);
    if (parts.length === 0) return undefined;
    return this.#assemble(id, parts) ?? foreign(parts[0]!);
  }

  async #partsOf(id: string): Promise<Item[]> {
    const parts: Item[] = [];
    for await (const item of this.#shelf.read(...rangeOf(QUEUED, id))) {
      parts.push(item);
    }
    return parts;
  }

  /** How much is on the shelf, in bytes, and how much of that was set aside. */
  async #measure(): Promise<{ bytes: number; aside: number }> {
    let bytes = 0;
    let aside = 0;
    for await (const item of this.#shelf.read(ASIDE, AFTER_QUEUED)) {
      const more = bytesOf(item);
      bytes += more;
      if (item.name.startsWith(ASIDE)) aside += more;
    }
    return { bytes, aside };
  }

  /** Begins when every call before has ended, however it ended. */
  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(run);
    this.#last = turn.catch(() => {});
    return turn;
  }
}

/** What is no event, as `load` hands it out: the recorder refuses it for its id, which no event can have, and so says where it is. */
const foreign = ({ name, value }: Item): StoredEvent =>
  ({ id: name, value }) as unknown as StoredEvent;

const removal = ({ name }: Pick<Item, "name">): Change => ({
  name,
  value: undefined,
});

/** What it takes in a store. A value that was put there by something else counts little. */
const bytesOf = ({ name, value }: Item): number =>
  name.length + (isStored(value) ? value.length : 0);
