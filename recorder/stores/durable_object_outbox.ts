/**
 * A store of queued events in the storage of a Durable Object, which outlives each
 * isolate that the object runs in.
 *
 * @module
 */
import { show } from "../../client/check.ts";
import type { OutboxStore, StoredEvent } from "../outbox/outbox_store.ts";
import type { Change, Item, Shelf } from "./shelf.ts";
import { checkShelfOptions, ShelfOutbox } from "./shelf_outbox.ts";

export type { WebhookEvent } from "../entries/event.ts";
export type { OutboxStore, StoredEvent } from "../outbox/outbox_store.ts";

/**
 * What a {@linkcode DurableObjectOutbox} needs of the storage of a Durable Object:
 * `ctx.storage` has it, whichever backend the class has.
 *
 * @see {@link https://developers.cloudflare.com/durable-objects/api/legacy-kv-storage-api/}
 */
export interface DurableObjectStorageLike {
  /** The values of a range of keys, in order of the keys. */
  list(options: {
    start?: string;
    startAfter?: string;
    end?: string;
    limit?: number;
    allowConcurrency?: boolean;
    noCache?: boolean;
  }): Promise<Map<string, unknown>>;
  /** Puts values under keys. */
  put(entries: Record<string, unknown>): Promise<void>;
  /** Removes keys. */
  delete(keys: string[]): Promise<number>;
  /** Resolves when all that was put and removed before is durable. */
  sync(): Promise<void>;
}

/** Options of a {@linkcode DurableObjectOutbox}. */
export interface DurableObjectOutboxOptions {
  /**
   * What each key begins with.
   * @default {"webhook_outbox/"}
   */
  prefix?: string | undefined;
  /**
   * How much may be stored, in bytes, with what was set aside; an event takes
   * about 300. An event for which there is no room is not stored, and the error says
   * so. What is there is read once before the first event is queued, and then from
   * time to time.
   * @default {16777216}
   */
  maxBytes?: number | undefined;
}

// An object has 128 MB of memory, a value with a key-value backend 128 KiB and a key
// 2048 bytes: https://developers.cloudflare.com/durable-objects/platform/limits/
const LARGEST_VALUE = 120_000;
const PAGE = 100;
/** One call puts or removes at most this many keys. */
const MOST_KEYS = 128;
const LONGEST_PREFIX = 500;

/**
 * Keeps queued events in the storage of a Durable Object.
 *
 * - An event that is stored is durable: `append` resolves after `storage.sync()`.
 * - Events that are appended together are stored together or not at all: writes between
 *   which nothing is awaited are one transaction.
 * - While events are read, the object goes on answering requests.
 * - A value under its keys that is no event is reported by the recorder, and left there.
 *
 * An object without requests is evicted, and with it the recorder. What is in the store
 * is sent when the object is next in use: set an alarm, so that this is soon.
 *
 * Each event is JSON, as bytes in UTF-8, under `<prefix>queued/<id>#0000`; the parts of a
 * long one are numbered. What Redis will never take is moved to `<prefix>aside/<id>#0000`,
 * with the reason under `<prefix>aside/<id>`.
 *
 * @example Queue events in a Durable Object while Redis is away
 * ```ts
 * import { WebhookRecorder, type Sender, type WebhookEvent } from "@unzombie/redis";
 * import {
 *   DurableObjectOutbox,
 *   type DurableObjectStorageLike,
 * } from "@unzombie/redis/outbox/durable-object";
 * import { assertEquals } from "@std/assert";
 *
 * interface Context { // a DurableObjectState
 *   storage: DurableObjectStorageLike & { setAlarm(at: number): Promise<void> };
 * }
 *
 * class Webhooks { // extends DurableObject
 *   #ctx: Context;
 *   #recorder: WebhookRecorder;
 *
 *   constructor(ctx: Context, redis: Sender) {
 *     this.#ctx = ctx;
 *     const outbox = new DurableObjectOutbox(ctx.storage);
 *     this.#recorder = new WebhookRecorder(redis, { outbox }); // begins to send what is stored
 *   }
 *
 *   async record(event: WebhookEvent): Promise<boolean> {
 *     const { status } = await this.#recorder.record(event);
 *     if (status === "queued") await this.#wakeLater();
 *     return status !== "dropped";
 *   }
 *
 *   async alarm(): Promise<void> {
 *     try {
 *       await this.#recorder.flush({ signal: AbortSignal.timeout(10_000) });
 *     } catch {
 *       await this.#wakeLater();
 *     }
 *   }
 *
 *   #wakeLater(): Promise<void> {
 *     return this.#ctx.storage.setAlarm(Date.now() + 30_000);
 *   }
 * }
 * assertEquals(Webhooks.length, 2);
 * ```
 */
export class DurableObjectOutbox implements OutboxStore {
  readonly #outbox: ShelfOutbox;

  /**
   * Makes a store.
   *
   * @param storage The `ctx.storage` of a Durable Object.
   * @param options See {@linkcode DurableObjectOutboxOptions}.
   * @throws {TypeError} If `storage` is not the storage of a Durable Object, or an option is unknown or not of its type.
   */
  constructor(
    storage: DurableObjectStorageLike,
    options: DurableObjectOutboxOptions = {},
  ) {
    const what = "make a DurableObjectOutbox";
    if (
      typeof storage?.put !== "function" || typeof storage.sync !== "function"
    ) {
      throw new TypeError(
        `Cannot ${what}: storage is ${
          show(storage)
        }, expected the ctx.storage of a Durable Object`,
      );
    }
    checkShelfOptions(what, options);
    const { prefix = "webhook_outbox/", maxBytes = 16 * 1024 * 1024 } = options;
    if (typeof prefix !== "string" || prefix.length > LONGEST_PREFIX) {
      throw new TypeError(
        `Cannot ${what}: prefix is ${
          show(prefix)
        }, expected a string of ${LONGEST_PREFIX} characters at most`,
      );
    }
    this.#outbox = new ShelfOutbox(new StorageShelf(storage, prefix), maxBytes);
  }

  /** See {@linkcode OutboxStore.load}. */
  load(): Promise<AsyncIterable<StoredEvent>> {
    return this.#outbox.load();
  }

  /**
   * See {@linkcode OutboxStore.append}.
   *
   * @throws {RangeError} If there is no room for all of them: then none is stored.
   * @throws What the storage fails with.
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

/** The keys of a Durable Object that begin with a prefix, followed by the name. */
class StorageShelf implements Shelf {
  readonly title = "the Durable Object";
  readonly largestValue = LARGEST_VALUE;
  readonly #storage: DurableObjectStorageLike;
  readonly #prefix: string;

  constructor(storage: DurableObjectStorageLike, prefix: string) {
    this.#storage = storage;
    this.#prefix = prefix;
  }

  async *read(start: string, end: string): AsyncGenerator<Item, void> {
    // What is read once need not be in the cache, and holds up no request.
    const page = {
      end: this.#prefix + end,
      limit: PAGE,
      allowConcurrency: true,
      noCache: true,
    };
    let items = await this.#storage.list({
      ...page,
      start: this.#prefix + start,
    });
    while (true) {
      let last: string | undefined;
      for (const [key, value] of items) {
        yield { name: key.slice(this.#prefix.length), value };
        last = key;
      }
      if (last === undefined || items.size < PAGE) return;
      items = await this.#storage.list({ ...page, startAfter: last });
    }
  }

  async change(groups: readonly (readonly Change[])[]): Promise<void> {
    const put: [key: string, value: unknown][] = [];
    const removed: string[] = [];
    for (const { name, value } of groups.flat()) {
      const key = this.#prefix + name;
      if (value === undefined) removed.push(key);
      else put.push([key, value]);
    }
    // Writes are one transaction as long as nothing is awaited between them.
    await Promise.all([
      ...chunksOf(put).map((some) =>
        this.#storage.put(Object.fromEntries(some))
      ),
      ...chunksOf(removed).map((some) => this.#storage.delete(some)),
    ]);
    // A write resolves while it is in a buffer: 50 of them, each awaited, were 7 times
    // fsync in workerd, and with this 56 times. The output gate holds back messages to
    // the outside alone.
    await this.#storage.sync();
  }
}

function chunksOf<T>(all: readonly T[]): T[][] {
  const chunks: T[][] = [];
  for (let at = 0; at < all.length; at += MOST_KEYS) {
    chunks.push(all.slice(at, at + MOST_KEYS));
  }
  return chunks;
}
