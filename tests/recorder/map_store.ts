// A store in memory that outlives its recorders, and fails when a test says so.
import { delay } from "@std/async/delay";
import type { OutboxStore, StoredEvent } from "../../mod.ts";

type Method = "load" | "append" | "remove" | "setAside";

/** What is in it is durable as far as a test is concerned: it is there for the next recorder. */
export class MapStore implements OutboxStore {
  /** What is in it, by id; also what is no stored event. */
  readonly entries = new Map<string, unknown>();
  /** The reasons of what was set aside, by id. */
  readonly aside = new Map<string, string>();
  /** What was called, with how many entries or ids. */
  readonly calls: [method: Method, count: number][] = [];
  /** What a method fails with. */
  readonly failures = new Map<Method, unknown>();
  /** What each call waits for before it takes effect. */
  gate: (method: Method) => Promise<void> = () => Promise.resolve();
  /** How many entries were read. */
  read = 0;
  /** Readers that were not read to their end. */
  left = 0;

  async load(): Promise<AsyncIterable<StoredEvent>> {
    await this.#begin("load", this.entries.size);
    return this.#read([...this.entries.values()] as StoredEvent[]);
  }

  async append(entries: readonly StoredEvent[]): Promise<void> {
    await this.#begin("append", entries.length);
    for (const entry of entries) {
      this.entries.set(entry.id, structuredClone(entry));
    }
  }

  async remove(ids: readonly string[]): Promise<void> {
    await this.#begin("remove", ids.length);
    for (const id of ids) this.entries.delete(id);
  }

  async setAside(ids: readonly string[], reason: string): Promise<void> {
    await this.#begin("setAside", ids.length);
    for (const id of ids) {
      if (this.entries.delete(id)) this.aside.set(id, reason);
    }
  }

  /** The members of all that is in it. */
  get members(): string[] {
    return [...this.entries.values()].flatMap((entry) =>
      (entry as StoredEvent).members
    );
  }

  /** How often a method was called. */
  countOf(method: Method): number {
    return this.calls.filter(([called]) => called === method).length;
  }

  async #begin(method: Method, count: number): Promise<void> {
    this.calls.push([method, count]);
    await this.gate(method);
    if (this.failures.has(method)) throw this.failures.get(method);
  }

  async *#read(entries: readonly StoredEvent[]): AsyncGenerator<StoredEvent> {
    let isRead = false;
    try {
      for (const entry of entries) {
        this.read++;
        yield entry;
      }
      isRead = true;
    } finally {
      if (!isRead) this.left++;
    }
  }
}

/** A stored event as an earlier process has made it: the n-th, with a member of its own. */
export const storedEvent = (
  n: number,
  { score = 1_700_000_000 + n, ...others }: Partial<StoredEvent> = {},
): StoredEvent => ({
  id: `0000earlier-${String(n).padStart(8, "0")}`,
  key: "webhook_frequency_mall_7_orders",
  score,
  members: [`member-${n}`],
  event: { mallId: "mall", shopNo: 7, eventType: "orders" },
  ...others,
});

/** A store in which an earlier process has left events. */
export function storeWith(entries: Iterable<StoredEvent>): MapStore {
  const store = new MapStore();
  for (const entry of entries) store.entries.set(entry.id, entry);
  return store;
}

/** A gate that is passed after a while. */
export const slow = (ms: number) => (): Promise<void> => delay(ms);
