// The stores that record() is compared with and without.

import type { OutboxStore, StoredEvent } from "../../mod.ts";

/** A store that keeps events in memory: what it costs to have one at all. */
class MemoryStore implements OutboxStore {
  readonly #entries = new Map<string, StoredEvent>();

  load(): Promise<Iterable<StoredEvent>> {
    return Promise.resolve([...this.#entries.values()]);
  }

  append(entries: readonly StoredEvent[]): Promise<void> {
    for (const entry of entries) this.#entries.set(entry.id, entry);
    return Promise.resolve();
  }

  remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#entries.delete(id);
    return Promise.resolve();
  }
}

/** The names of stores, as `--outbox` takes them. */
export const storeNames = ["memory", "file"] as const;

/** One of them. */
export type StoreName = typeof storeNames[number];

/** Opens a store; a file is one of its own, in the directory for temporary files. */
export async function openStore(
  name: StoreName,
): Promise<{ store: OutboxStore; close(): Promise<void> }> {
  if (name === "memory") {
    return { store: new MemoryStore(), close: () => Promise.resolve() };
  }
  const { exports } = JSON.parse(
    await Deno.readTextFile(new URL("../../deno.json", import.meta.url)),
  );
  const { FileOutbox } = await import(
    new URL(`../../${exports["./outbox"]}`, import.meta.url).href
  );
  const folder = await Deno.makeTempDir();
  const store = await FileOutbox.open(`${folder}/outbox`);
  return {
    store,
    async close() {
      await store[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
