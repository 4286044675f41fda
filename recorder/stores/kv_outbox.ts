/**
 * A store of queued events in Deno KV, for a service whose processes have no disk of
 * their own.
 *
 * @module
 */
import { show } from "../../client/check.ts";
import type { OutboxStore, StoredEvent } from "../outbox/outbox_store.ts";
import { isStored } from "./parts.ts";
import type { Change, Item, Shelf } from "./shelf.ts";
import { checkShelfOptions, ShelfOutbox } from "./shelf_outbox.ts";

export type { WebhookEvent } from "../entries/event.ts";
export type { OutboxStore, StoredEvent } from "../outbox/outbox_store.ts";

/**
 * What a {@linkcode KvOutbox} needs of Deno KV: a `Deno.Kv` has it, and so has the `Kv`
 * of the npm package `@deno/kv`, which works on Node.
 */
export interface KvLike {
  /** Reads the entries of a range of keys, in order of the keys. */
  list(
    selector: { start: string[]; end: string[] },
  ): AsyncIterable<
    { readonly key: readonly unknown[]; readonly value: unknown }
  >;
  /** Begins a transaction. */
  atomic(): KvTransaction;
}

/** What a {@linkcode KvOutbox} needs of a transaction of Deno KV. */
export interface KvTransaction {
  /** Puts a value under a key. */
  set(key: string[], value: unknown): unknown;
  /** Removes a key. */
  delete(key: string[]): unknown;
  /** Makes the changes, all of them or none. */
  commit(): Promise<unknown>;
}

/** Options of a {@linkcode KvOutbox}. */
export interface KvOutboxOptions {
  /**
   * The first parts of each key. Recorders that have the same share a store.
   * @default {["webhook_outbox"]}
   */
  prefix?: readonly string[] | undefined;
  /**
   * How much may be stored, in bytes, with what was set aside; an event takes
   * about 300. An event for which there is no room is not stored, and the error says
   * so. What is there is read once before the first event is queued, and then from
   * time to time: several processes may exceed the limit, each by an eighth of it.
   * @default {16777216}
   */
  maxBytes?: number | undefined;
}

// The limits of one transaction, with some room for what the encoding adds. Deno 2.9
// refuses more than 1000 mutations, 819,200 bytes in all, 81,920 bytes of keys and
// 65,536 bytes of a value: https://docs.rs/deno_kv/latest/src/deno_kv/config.rs.html
const LARGEST_VALUE = 60_000;
const MOST_CHANGES = 1000;
const MOST_BYTES = 800_000;
const MOST_KEY_BYTES = 80_000;
/** Of a key there may be 2048 bytes. */
const LONGEST_PREFIX = 1000;
/** What the encoding adds to a key or a value, in bytes, and more. */
const OVERHEAD = 16;

/**
 * Keeps queued events in Deno KV.
 *
 * - An event that is stored is durable: `append` resolves when its transaction is committed.
 * - Events that are appended together are in one transaction if it can hold them, and it
 *   can unless `prefix` is long. Otherwise they are in several, and if a later one fails,
 *   the events of the earlier ones stay stored. A later process sends them: at worst an
 *   event that was not promised counts.
 * - An event may take almost 800,000 bytes: 10,000 members that are UUIDs take 390,000.
 * - Several processes may share a store. An event that two of them send counts once.
 * - A value under its keys that is no event is reported by the recorder, and left there.
 *
 * Each event is JSON, as bytes in UTF-8, under `[...prefix, "queued/<id>#0000"]`; the parts
 * of a long one are numbered. What Redis will never take is moved to
 * `[...prefix, "aside/<id>#0000"]`, with the reason under `[...prefix, "aside/<id>"]`.
 *
 * @example Queue events in Deno KV while Redis is away
 * ```ts
 * import { Redis, WebhookRecorder } from "@unzombie/redis";
 * import { KvOutbox } from "@unzombie/redis/outbox/kv";
 * import { assertEquals } from "@std/assert";
 *
 * // Deno KV is there on Deno Deploy, and elsewhere with --unstable-kv.
 * if (Deno.openKv !== undefined) {
 *   using kv = await Deno.openKv(":memory:");
 *   await using redis = new Redis("redis://127.0.0.1:9"); // nothing listens there
 *   await using recorder = new WebhookRecorder(redis, { outbox: new KvOutbox(kv) });
 *
 *   const event = { mallId: "doc", shopNo: 1, eventType: "orders/create" };
 *   const { status } = await recorder.record(event);
 *   assertEquals(status, "queued");
 *   await recorder.close({ drainMs: 0 }); // the event stays in Deno KV
 *   const stored = await Array.fromAsync(kv.list({ prefix: ["webhook_outbox"] }));
 *   assertEquals(stored.length, 1);
 * }
 * ```
 */
export class KvOutbox implements OutboxStore {
  readonly #outbox: ShelfOutbox;

  /**
   * Makes a store.
   *
   * @param kv What `Deno.openKv` or the `openKv` of `@deno/kv` returns. Close it after the recorder.
   * @param options See {@linkcode KvOutboxOptions}.
   * @throws {TypeError} If `kv` is not a Deno KV, or an option is unknown or not of its type.
   */
  constructor(kv: KvLike, options: KvOutboxOptions = {}) {
    const what = "make a KvOutbox";
    if (typeof kv?.list !== "function" || typeof kv.atomic !== "function") {
      throw new TypeError(
        `Cannot ${what}: kv is ${show(kv)}, expected an open Deno KV`,
      );
    }
    checkShelfOptions(what, options);
    const { prefix = ["webhook_outbox"], maxBytes = 16 * 1024 * 1024 } =
      options;
    if (
      !Array.isArray(prefix) || prefix.length === 0 ||
      !prefix.every((part) => typeof part === "string") ||
      keyBytes(prefix) > LONGEST_PREFIX
    ) {
      throw new TypeError(
        `Cannot ${what}: prefix is ${
          show(prefix)
        }, expected an array of strings of ${LONGEST_PREFIX} bytes at most, not empty`,
      );
    }
    this.#outbox = new ShelfOutbox(new KvShelf(kv, [...prefix]), maxBytes);
  }

  /** See {@linkcode OutboxStore.load}. */
  load(): Promise<AsyncIterable<StoredEvent>> {
    return this.#outbox.load();
  }

  /**
   * See {@linkcode OutboxStore.append}.
   *
   * @throws {RangeError} If an event is too large, or there is no room for all of them: then none is stored.
   * @throws What the transaction fails with.
   */
  append(entries: readonly StoredEvent[]): Promise<void> {
    return this.#outbox.append(entries);
  }

  /** See {@linkcode OutboxStore.remove}. */
  remove(ids: readonly string[]): Promise<void> {
    return this.#outbox.remove(ids);
  }

  /** See {@linkcode OutboxStore.setAside}. */
  setAside(ids: readonly string[], reason: string): Promise<void> {
    return this.#outbox.setAside(ids, reason);
  }
}

/** The keys of Deno KV that have one prefix and one more part, which is the name. */
class KvShelf implements Shelf {
  readonly title = "Deno KV";
  readonly largestValue = LARGEST_VALUE;
  readonly #kv: KvLike;
  readonly #prefix: string[];

  constructor(kv: KvLike, prefix: string[]) {
    this.#kv = kv;
    this.#prefix = prefix;
  }

  async *read(start: string, end: string): AsyncGenerator<Item, void> {
    // In pages of 100, each read at one time.
    const entries = this.#kv.list({
      start: this.#keyOf(start),
      end: this.#keyOf(end),
    });
    for await (const { key, value } of entries) {
      const name = key[this.#prefix.length];
      const isName = key.length === this.#prefix.length + 1;
      yield {
        name: isName ? String(name) : `key of ${key.length} parts`,
        value,
      };
    }
  }

  async change(groups: readonly (readonly Change[])[]): Promise<void> {
    for (const changes of this.#transactionsOf(groups)) {
      const transaction = this.#kv.atomic();
      for (const { name, value } of changes) {
        if (value === undefined) transaction.delete(this.#keyOf(name));
        else transaction.set(this.#keyOf(name), value);
      }
      await transaction.commit(); // it fails only by rejecting: nothing is checked
    }
  }

  /** Groups that fit into a transaction together are in one. */
  #transactionsOf(groups: readonly (readonly Change[])[]): Change[][] {
    const transactions: Change[][] = [];
    let changes: Change[] = [];
    let size = NOTHING;
    for (const group of groups) {
      const more = this.#sizeOf(group);
      if (!fits(more)) {
        throw new RangeError(
          `Cannot store event: it takes ${more.bytes} bytes, and a transaction of Deno KV at most ${MOST_BYTES}`,
        );
      }
      const both = sum(size, more);
      if (fits(both)) {
        size = both;
      } else {
        transactions.push(changes);
        changes = [];
        size = more;
      }
      changes.push(...group);
    }
    if (changes.length > 0) transactions.push(changes);
    return transactions;
  }

  #sizeOf(changes: readonly Change[]): Size {
    let ofKeys = 0;
    let ofValues = 0;
    for (const { name, value } of changes) {
      ofKeys += keyBytes([...this.#prefix, name]);
      if (isStored(value)) ofValues += value.length + OVERHEAD;
    }
    return { changes: changes.length, ofKeys, bytes: ofKeys + ofValues };
  }

  #keyOf(name: string): string[] {
    return [...this.#prefix, name];
  }
}

/** The size of a transaction. */
interface Size {
  readonly changes: number;
  readonly ofKeys: number;
  /** Of keys and values. */
  readonly bytes: number;
}

const NOTHING: Size = { changes: 0, ofKeys: 0, bytes: 0 };

const sum = (a: Size, b: Size): Size => ({
  changes: a.changes + b.changes,
  ofKeys: a.ofKeys + b.ofKeys,
  bytes: a.bytes + b.bytes,
});

const fits = ({ changes, ofKeys, bytes }: Size): boolean =>
  changes <= MOST_CHANGES && ofKeys <= MOST_KEY_BYTES && bytes <= MOST_BYTES;

const utf8 = new TextEncoder();

/** How many bytes a key of strings has: each is in UTF-8, with a byte before it and one after it, and a null byte in it is two. */
const keyBytes = (key: readonly string[]): number =>
  key.reduce(
    (sum, part) => sum + utf8.encode(part).length + part.split("\0").length + 1,
    0,
  );
