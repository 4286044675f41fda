/**
 * A store of queued events in one file, which outlives the process, on Deno, Node and Bun.
 *
 * @module
 */
import {
  CHECKED_ELSEWHERE,
  checkOptions,
  checkWhole,
  FUNCTION,
  MAX_TIMER_MS,
  type OptionRule,
  show,
} from "../../../client/check.ts";
import type { OutboxStore, StoredEvent } from "../../outbox/outbox_store.ts";
import type { Change } from "./batch.ts";
import type { Cursor, ReadEvent } from "./cursor.ts";
import {
  OutboxFileError,
  type OutboxFileReason,
  type OutboxHolder,
  OutboxLockedError,
} from "./errors.ts";
import { eventOf, textOf } from "./event_text.ts";
import { Log } from "./log.ts";
import { FRAME, isId, MAX_RECORD } from "./record.ts";

export {
  OutboxFileError,
  type OutboxFileReason,
  type OutboxHolder,
  OutboxLockedError,
  type OutboxStore,
  type StoredEvent,
};
export type { WebhookEvent } from "../../entries/event.ts";

/** How {@linkcode FileOutbox.open} opens a file. */
export interface FileOutboxOptions {
  /**
   * How large the file may grow, in bytes: an append that has no room for itself,
   * and for the removals of all events, rejects. An event takes some 150 bytes.
   * A compaction may exceed it by half, for a moment.
   * @default {536870912}
   */
  maxBytes?: number | undefined;
  /**
   * How long to wait for another process to close the file, or to be found dead, in
   * milliseconds. A process of the same host that was killed is found dead at once.
   * On another host, or where the runtime may not ask for hosts and processes, it is
   * dead once the file was not touched for five seconds.
   * @default {7000}
   */
  waitMs?: number | undefined;
  /**
   * Called for trouble that concerns no single call: bytes of the file that are no
   * record, which are kept and skipped, and a compaction that has failed.
   * @default {console.error}
   */
  onProblem?: ((problem: OutboxFileError) => void) | undefined;
}

/** A change that waits for its commit. */
interface Waiting {
  readonly change: Change;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** As many bytes go into one commit, and one change more. */
const MAX_COMMIT = 2 ** 22;
const RULES = {
  maxBytes: CHECKED_ELSEWHERE,
  waitMs: CHECKED_ELSEWHERE,
  onProblem: FUNCTION,
} satisfies Record<keyof FileOutboxOptions, OptionRule>;
const LIMITS = {
  // Opening a file reads all of it.
  maxBytes: { least: 2 ** 16, most: 2 ** 31 },
  waitMs: { least: 0, most: MAX_TIMER_MS },
};
/** As many places that are no record are reported one by one. */
const MAX_REPORTS = 10;

/**
 * Keeps queued events in one file, which it appends to.
 *
 * - What has been appended is there after a crash, a `kill -9` and a loss of power, once
 *   `append` has resolved: it was synced to the disk. Calls that come meanwhile share
 *   the next sync.
 * - A line that a crash has cut short is ignored. Other bytes that are no record are
 *   reported, kept and skipped; no record beside them is lost.
 * - One process at a time has the file. Another one takes it over once it is closed, or
 *   its process is dead, and waits for that for `waitMs`.
 * - What is removed makes room: the file is compacted in place when most of it is dead.
 * - It writes nothing but this file: Deno needs `--allow-read` and `--allow-write` for it alone.
 *
 * @example Events that outlive their process
 * ```ts
 * import { FileOutbox } from "@unzombie/redis/outbox";
 * import { assertEquals } from "@std/assert";
 *
 * const directory = await Deno.makeTempDir();
 * const event = {
 *   id: "0mf3k2x9a-1",
 *   key: "webhook_frequency_mall_1_order.created",
 *   score: 1_780_000_000,
 *   members: ["6b8f0a6e-0b7a-4a53-9a3c-1f0b3a6d9e21"],
 *   event: { mallId: "mall", shopNo: 1, eventType: "order.created" },
 * };
 * {
 *   await using outbox = await FileOutbox.open(`${directory}/queued.log`);
 *   await outbox.append([event]);
 * }
 * await using outbox = await FileOutbox.open(`${directory}/queued.log`);
 * assertEquals(await Array.fromAsync(await outbox.load()), [event]);
 * await outbox.remove([event.id]);
 * assertEquals(outbox.size, 0);
 * await Deno.remove(directory, { recursive: true });
 * ```
 */
export class FileOutbox implements OutboxStore, AsyncDisposable {
  /** The file. */
  readonly path: string;
  readonly #log: Log;
  readonly #onProblem: (problem: OutboxFileError) => void;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    path: string,
    log: Log,
    onProblem: (problem: OutboxFileError) => void,
  ) {
    this.path = path;
    this.#log = log;
    this.#onProblem = onProblem;
  }

  /**
   * Opens a file, and makes it if it is not there. Its directory must be there.
   *
   * @param path The file.
   * @param options How large it may grow, and how long to wait for it.
   * @returns The outbox, which must be closed.
   * @throws {OutboxLockedError} If another process holds the file.
   * @throws {OutboxFileError} If the file is something else, or cannot be opened.
   * @throws {TypeError} If an argument is invalid.
   */
  static async open(
    path: string,
    options: FileOutboxOptions = {},
  ): Promise<FileOutbox> {
    if (typeof path !== "string" || path === "") {
      throw new TypeError(
        `Cannot open outbox: path is ${
          show(path)
        }, expected the path of a file`,
      );
    }
    checkOptions(options, RULES);
    const {
      maxBytes = 2 ** 29,
      waitMs = 7_000,
      onProblem = (problem: OutboxFileError) => console.error(problem),
    } = options;
    const task = `open outbox ${path}`;
    checkWhole(task, "maxBytes", maxBytes, LIMITS.maxBytes);
    checkWhole(task, "waitMs", waitMs, LIMITS.waitMs);
    const log = await Log.open(path, { maxBytes, waitMs });
    const outbox = new FileOutbox(path, log, onProblem);
    outbox.#reportDamage();
    return outbox;
  }

  /** How many events there are, without those that are set aside. */
  get size(): number {
    return this.#log.size;
  }

  /** The size of the file, in bytes. */
  get bytes(): number {
    return this.#log.bytes;
  }

  /**
   * The events that are in the file when the first of them is read, oldest first. It is
   * read block by block, and may be read while events are appended and removed: those
   * that were removed meanwhile are left out.
   *
   * @returns The events, to be read once.
   * @throws {OutboxFileError} If the outbox was closed.
   */
  load(): Promise<AsyncIterableIterator<StoredEvent>> {
    if (this.#closing !== undefined) {
      return Promise.reject(this.#closed("load"));
    }
    return Promise.resolve(this.#events());
  }

  /**
   * Appends events. They are durable when it resolves. Those whose id is there
   * already are left as they are.
   *
   * @param entries The events.
   * @throws {OutboxFileError} If they could not be written, or have no room; none of them is promised.
   * @throws {TypeError} If an event has no valid id, takes more than 2 MiB, or cannot be
   * written as JSON.
   */
  append(entries: readonly StoredEvent[]): Promise<void> {
    let ids: string[];
    let bodies: string[];
    try {
      ids = entries.map(({ id }) => this.#checkedId(id));
      bodies = entries.map((entry) => this.#checkedBody(entry));
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#change("append to", { kind: "+", ids, bodies });
  }

  /**
   * Removes events. Ids that are not there are ignored.
   *
   * @param ids The ids.
   * @throws {OutboxFileError} If that could not be written: the events are gone from
   * here, and come back if the file is opened before a later change could be written.
   */
  remove(ids: readonly string[]): Promise<void> {
    return this.#change("remove from", { kind: "-", ids: ids.filter(isId) });
  }

  /**
   * Sets events aside: `load` finds them no more. They stay in the file, with the
   * reason, until they are removed. Ids that are not there are ignored.
   *
   * @param ids The ids.
   * @param reason Why.
   * @throws {OutboxFileError} If that could not be written.
   */
  setAside(ids: readonly string[], reason: string): Promise<void> {
    return this.#change("set aside in", {
      kind: "!",
      ids: ids.filter(isId),
      reason: String(reason),
    });
  }

  /**
   * Writes what was called before, and gives the file back. Further calls of it do
   * nothing, and those of other methods reject.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** The same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What `console.log` shows. */
  [Symbol.for("nodejs.util.inspect.custom")](
    _depth: unknown,
    options: unknown,
    inspect?: (value: unknown, options: unknown) => string,
  ): unknown {
    const { path, size, bytes } = this;
    const shown = { path, size, bytes, isClosed: this.#closing !== undefined };
    return `FileOutbox ${inspect?.(shown, options) ?? JSON.stringify(shown)}`;
  }

  #change(task: string, change: Change): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(this.#closed(task));
    if (change.ids.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ change, resolve, reject });
      this.#writing ??= this.#write();
    });
  }

  /** Commits what waits, until nothing does. What comes during a commit goes into the next one. */
  async #write(): Promise<void> {
    await undefined; // the other calls of this turn
    while (this.#waiting.length > 0) {
      const batch = this.#nextBatch();
      try {
        const errors = await this.#log.commit(
          batch.map(({ change }) => change),
        );
        batch.forEach(({ resolve, reject }, n) =>
          errors[n] === undefined ? resolve() : reject(errors[n])
        );
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
      await this.#compact();
    }
    this.#writing = undefined;
  }

  #nextBatch(): Waiting[] {
    let bytes = 0;
    const isBeyond = this.#waiting.findIndex(({ change }) => {
      if (bytes > MAX_COMMIT) return true;
      const parts = change.kind === "+" ? change.bodies : change.ids;
      for (const { length } of parts) bytes += length;
      return false;
    });
    const count = isBeyond < 0 ? this.#waiting.length : isBeyond;
    return this.#waiting.splice(0, count);
  }

  async #compact(): Promise<void> {
    if (!this.#log.isWasteful) return;
    try {
      await this.#log.compact();
    } catch (error) {
      this.#report(
        error instanceof OutboxFileError ? error : new OutboxFileError(
          "failed",
          this.path,
          `Cannot compact outbox ${this.path}: ${(error as Error).message}`,
          { cause: error },
        ),
      );
    }
  }

  async #close(): Promise<void> {
    await this.#writing;
    await this.#log.close();
  }

  #events(): AsyncIterableIterator<StoredEvent> {
    const log = this.#log;
    let cursor: Cursor | undefined; // with the first step: a load that is never read holds up no compaction
    let block: readonly ReadEvent[] = [];
    let next = 0;
    let version = 0;
    const end = (): IteratorResult<StoredEvent> => {
      if (cursor !== undefined) log.closeCursor(cursor);
      block = [];
      next = Infinity;
      return { done: true, value: undefined };
    };
    const step = (): IteratorResult<StoredEvent> => {
      while (next < Infinity) {
        while (next < block.length) {
          const event = block[next++]!;
          const value = this.#parsed(event);
          if (value === undefined) continue;
          if (version !== log.version && !log.isQueued(value.id)) continue;
          return { done: false, value };
        }
        if (this.#closing !== undefined) {
          end();
          throw this.#closed("load");
        }
        version = log.version;
        cursor ??= log.openCursor();
        const read = cursor.read();
        if (read === undefined) return end();
        block = read;
        next = 0;
      }
      return end();
    };
    // An async generator takes half as long again.
    return {
      next: () => {
        try {
          return Promise.resolve(step());
        } catch (error) {
          end();
          return Promise.reject(error);
        }
      },
      return: () => Promise.resolve(end()),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** The event of a record, if the disk still has it. */
  #parsed({ offset, text }: ReadEvent): StoredEvent | undefined {
    try {
      if (text !== undefined) return eventOf(text);
    } catch {
      // as below
    }
    this.#report(
      this.#unreadable(`the event at offset ${offset} can no longer be read`),
    );
    return undefined;
  }

  #checkedId(id: unknown): string {
    if (isId(id)) return id;
    throw new TypeError(
      `Cannot append to outbox ${this.path}: id is ${
        show(id)
      }; expected 1 to 40 of the characters 0-9, a-z and -`,
    );
  }

  #checkedBody(entry: StoredEvent): string {
    const body = `+ ${textOf(entry)}`;
    if (body.length + FRAME <= MAX_RECORD) return body;
    throw new TypeError(
      `Cannot append to outbox ${this.path}: event ${entry.id} takes ${body.length} bytes; expected at most ${
        MAX_RECORD - FRAME
      }`,
    );
  }

  #closed(task: string): OutboxFileError {
    return new OutboxFileError(
      "closed",
      this.path,
      `Cannot ${task} outbox ${this.path}: it was closed`,
    );
  }

  #reportDamage(): void {
    const { damaged } = this.#log;
    for (const { offset, length } of damaged.slice(0, MAX_REPORTS)) {
      this.#report(
        this.#unreadable(`${length} bytes at offset ${offset} are no record`),
      );
    }
    const more = damaged.length - MAX_REPORTS;
    if (more > 0) {
      this.#report(this.#unreadable(`${more} more places hold no records`));
    }
  }

  #unreadable(what: string): OutboxFileError {
    return new OutboxFileError(
      "unreadable",
      this.path,
      `Outbox ${this.path}: ${what}; kept and skipped`,
    );
  }

  #report(problem: OutboxFileError): void {
    try {
      this.#onProblem(problem);
    } catch (error) {
      console.error(error);
    }
  }
}
