// The log of a file outbox: writes batches of changes, and keeps the file small.
import {
  Batch,
  type Change,
  type Effect,
  type Excess,
  REMOVAL,
} from "./batch.ts";
import { releaseOf } from "./claims.ts";
import { compacted, moves } from "./compaction.ts";
import { Cursor } from "./cursor.ts";
import { AppendError, Disk } from "./disk.ts";
import { describeHolder, OutboxFileError, systemError } from "./errors.ts";
import { HEADER, type Header, placed } from "./header.ts";
import type { Index } from "./index.ts";
import type { Place } from "./places.ts";
import { takeLog, type Taken } from "./lock.ts";
import { Ownership } from "./ownership.ts";
import { bytesOf, recordOf } from "./record.ts";
import { Replay } from "./replay.ts";
import { Scan } from "./scan.ts";

/** How large a log may be that is mostly dead, in bytes. */
const MIN_WASTE = 2 ** 18;
/** How long nothing is cleared after that has failed, in milliseconds: the disk is full. */
const CLEAR_MS = 10_000;
const NOTHING = new Uint8Array(0);

/**
 * The log. Its methods that write are called one after the other.
 *
 * - What a commit has written is durable when it resolves.
 * - A commit that fails leaves the log as it was, or with a line that is no record.
 * - Where the file has changed otherwise, it is taken for lost: another process
 *   has found this one silent for some seconds.
 */
export class Log {
  readonly #disk: Disk;
  readonly #taken: Taken;
  readonly #maxBytes: number;
  readonly #ownership: Ownership;
  readonly #cursors = new Set<Cursor>();
  /** Ids whose removal could not be written yet. */
  readonly #unwritten = new Set<string>();
  #header: Header;
  /** Where the header in force is: in slot 0 or 1. */
  #slot: number;
  #index: Index;
  #end: number;
  /** Whether the last line is no record and has no end. */
  #isOpenEnded = false;
  #version = 0;
  /** When the beginning may be cleared again, by `performance.now()`. */
  #clearAfter = 0;
  /** Whether no compaction can succeed. */
  #isStuck = false;

  private constructor(disk: Disk, taken: Taken, maxBytes: number) {
    this.#disk = disk;
    this.#taken = taken;
    this.#maxBytes = maxBytes;
    this.#header = taken.found.header;
    this.#slot = taken.found.slot;
    this.#index = taken.replay.index;
    this.#end = taken.end;
    this.#isOpenEnded = taken.isOpenEnded;
    this.#ownership = new Ownership(disk);
  }

  /** Opens the file and takes it. */
  static async open(
    path: string,
    options: { readonly maxBytes: number; readonly waitMs: number },
  ): Promise<Log> {
    let disk: Disk;
    try {
      disk = Disk.open(path);
    } catch (error) {
      throw systemError("open", path, error);
    }
    try {
      const kind = disk.otherKind();
      if (kind !== undefined) {
        throw new OutboxFileError(
          "foreign",
          path,
          `Cannot open outbox ${path}: it is ${kind}; expected a file`,
        );
      }
      const taken = await takeLog(disk, options.waitMs);
      const log = new Log(disk, taken, options.maxBytes);
      if (!taken.found.isWhole) await log.#heal();
      return log;
    } catch (error) {
      disk.close();
      throw error instanceof OutboxFileError ? error : systemError(
        "open",
        path,
        error instanceof AppendError ? error.cause : error,
      );
    }
  }

  /** What was found to be no record when the log was opened. */
  get damaged(): readonly Place[] {
    return this.#taken.replay.damaged;
  }

  /** How many events there are that are not set aside. */
  get size(): number {
    return this.#index.size;
  }

  /** The size of the file. */
  get bytes(): number {
    return this.#end;
  }

  /** Changes with each event that is removed or set aside. */
  get version(): number {
    return this.#version;
  }

  /** Whether an event is there and not set aside. */
  isQueued(id: string): boolean {
    return this.#index.isQueued(id);
  }

  /**
   * Writes changes, in their order.
   *
   * @returns For each what it has failed with: there was no room for it.
   * @throws {OutboxFileError} If none of them was written. What was to be removed is
   * not there any more all the same, and is removed from the file with the next commit.
   */
  async commit(
    changes: readonly Change[],
  ): Promise<(OutboxFileError | undefined)[]> {
    try {
      await this.#checkEnd();
      const batch = new Batch({
        index: this.#index,
        generation: this.#header.generation,
        offset: this.#end + (this.#isOpenEnded ? 1 : 0),
        maxBytes: this.#maxBytes,
      });
      batch.removeAgain(this.#unwritten);
      const errors = changes.map((change) => {
        const excess = batch.encode(change);
        return excess && this.#full(excess);
      });
      let shift = 0;
      if (batch.lines.length > 0) {
        const from = this.#end;
        const text = batch.lines.join("");
        const bytes = bytesOf(this.#isOpenEnded ? `\n${text}` : text);
        await this.#write(bytes);
        this.#isOpenEnded = false;
        shift = this.#end - bytes.length - from;
      }
      this.#unwritten.clear();
      for (const effect of batch.effects) this.#apply(effect, shift);
      return errors;
    } catch (error) {
      for (const { kind, ids } of changes) {
        if (kind !== "-" || this.#ownership.isLost) continue;
        for (const id of ids) {
          if (!this.#index.has(id)) continue;
          this.#index.remove(id);
          this.#version++;
          this.#unwritten.add(id);
        }
      }
      throw error;
    }
  }

  /** Whether most of the log is dead, and enough of it. */
  get isWasteful(): boolean {
    const total = this.#end - this.#header.start;
    return !this.#ownership.isLost && !this.#isStuck && total >= MIN_WASTE &&
      this.#index.bytes * 2 <= total;
  }

  /**
   * Removes what is dead from the file, if it can be done. What is in force is
   * copied into the dead beginning; then a slot of the header puts the copy in
   * force; then the rest is cut off. A crash at any moment leaves one of the two whole.
   */
  async compact(): Promise<void> {
    await this.#checkEnd();
    if (!this.#hasDeadBeginning && performance.now() >= this.#clearAfter) {
      this.#clearAfter = performance.now() + CLEAR_MS;
      await this.#clearBeginning();
      this.#clearAfter = 0;
    }
    if (!this.#hasDeadBeginning || !this.isWasteful) return;
    const header = this.#header;
    const index = this.#index;
    const generation = header.generation + 1;
    const first = Math.min(index.first, this.#end);
    const holder = this.#taken.claim;
    if (!index.isEmpty) {
      // Before the beginning is overwritten: it would be taken for damaged.
      await this.#putHeader({ ...header, start: first, holder });
    }
    const copy = await compacted(
      this.#disk,
      {
        index,
        from: first,
        to: this.#end,
        generation: header.generation,
      },
      HEADER,
      () => this.#checkEnd(),
    );
    if (copy.index.events !== index.events) {
      this.#isStuck = true;
      throw new OutboxFileError(
        "unreadable",
        this.#disk.path,
        `Cannot compact outbox ${this.#disk.path}: ${
          index.events - copy.index.events
        } events cannot be read any more; expected a disk that works`,
      );
    }
    await this.#disk.sync();
    await this.#checkEnd();
    await this.#putHeader({ ...header, generation, start: HEADER, holder });
    // From here to the end of the turn: no reader sees one without the other.
    for (const cursor of this.#cursors) {
      const moved = (offset: number): number =>
        copy.index.offsetAt(index.rankOf(offset)) ?? copy.end;
      cursor.move(copy.index, moved);
    }
    this.#index = copy.index;
    this.#end = copy.end;
    this.#isOpenEnded = false;
    this.#unwritten.clear();
    try {
      await this.#disk.truncate(copy.end);
      await this.#heal();
    } catch (error) {
      throw this.#ownership.lose(
        systemError("cut", this.#disk.path, error).message,
      );
    }
  }

  /** Reads the events that are here now, until it is closed. */
  openCursor(): Cursor {
    const cursor = new Cursor(this.#disk, this.#index, this.#end);
    this.#cursors.add(cursor);
    return cursor;
  }

  closeCursor(cursor: Cursor): void {
    this.#cursors.delete(cursor);
  }

  /** Gives the log back. */
  async close(): Promise<void> {
    this.#ownership.end();
    const { claim, kernelLock } = this.#taken;
    try {
      await this.#checkEnd();
      const record = recordOf(releaseOf(claim), this.#header.generation);
      await this.#disk.append(
        bytesOf(this.#isOpenEnded ? `\n${record}` : record),
      );
    } catch {
      // Another process finds this one ended, or silent.
    } finally {
      this.#disk.close();
      kernelLock?.release();
    }
  }

  /** @param shift How much further on the record is than its place says. */
  #apply([kind, id, place]: Effect, shift: number): void {
    const { length } = place;
    const offset = place.offset + shift;
    if (kind === "+") return this.#index.add(id, offset, length);
    this.#version++;
    if (kind === "-") this.#index.remove(id);
    else this.#index.setAside(id, offset, length);
  }

  /** Appends bytes to the end, and makes them durable, or takes them back. */
  async #write(bytes: Uint8Array): Promise<void> {
    let written = 0;
    try {
      await this.#disk.append(bytes);
      written = bytes.length;
      await this.#disk.sync();
    } catch (error) {
      if (error instanceof AppendError) written = error.written;
      await this.#takeBack(bytes, written);
      throw systemError(
        "write",
        this.#disk.path,
        (error as Error).cause ?? error,
      );
    }
    const { size } = await this.#disk.state();
    // Another process has taken the log meanwhile: it may not see these bytes.
    if (size !== this.#end + bytes.length) await this.#checkEnd(bytes);
    this.#end += bytes.length;
  }

  /**
   * Cuts off what a write that has failed has left: its first records may be whole.
   *
   * @param bytes What was to be written.
   * @param written How much of it was, as the runtime says. Deno writes all it can
   * in one call, and does not say how much that was if the disk is full then.
   */
  async #takeBack(bytes: Uint8Array, written: number): Promise<void> {
    try {
      if (await this.#disk.takeBack(this.#end, bytes)) return;
    } catch {
      // The next record begins after a line break.
    }
    this.#end += written;
    this.#isOpenEnded = true;
  }

  /**
   * Checks that the file is as this process has left it.
   *
   * @param written What this process has written beyond the end.
   * @throws {OutboxFileError} If it belongs to another process now, was cut or deleted.
   */
  async #checkEnd(written: Uint8Array = NOTHING): Promise<void> {
    const { sequence } = this.#header;
    const { length } = written;
    const expected = this.#end + length;
    const size = await this.#ownership.check(expected, sequence);
    if (size === expected) return;
    const at = length === 0 ? size : this.#disk.find(written, this.#end, size);
    // Before it, a process that was frozen may have ended its last write, or one that has lost the
    // race for the log may have appended its claim. What is behind it is read with the next commit.
    const { holder, isOpenEnded } = this.#replayFrom(this.#end, at ?? size);
    if (holder?.nonce !== this.#taken.claim.nonce) {
      throw this.#ownership.lose(`${describeHolder(holder)} has taken it over`);
    }
    if (at === undefined) {
      throw new OutboxFileError(
        "failed",
        this.#disk.path,
        `Cannot write outbox ${this.#disk.path}: another process has written to it at the same time; expected this process alone`,
      );
    }
    this.#end = at;
    this.#isOpenEnded = isOpenEnded;
  }

  /** Reads what another process has appended. */
  #replayFrom(from: number, to: number): Replay {
    const replay = new Replay(this.#taken.claim, this.#index);
    const scan = new Scan(this.#disk, this.#header.generation, from);
    while (scan.next(to, replay));
    return replay;
  }

  #full({ events, bytes }: Excess): OutboxFileError {
    const { path } = this.#disk;
    const kibibytes = (bytes: number) => `${Math.ceil(bytes / 1024)} KiB`;
    const count = events === 1 ? "1 event" : `${events} events`;
    const held = this.#end + this.#index.events * REMOVAL;
    return new OutboxFileError(
      "full",
      path,
      `Cannot store ${count} of ${kibibytes(bytes)}: outbox ${path} holds ${
        kibibytes(held)
      } of at most ${kibibytes(this.#maxBytes)} (maxBytes)`,
    );
  }

  /** Whether what is in force has room before its own beginning. */
  get #hasDeadBeginning(): boolean {
    const first = Math.min(this.#index.first, this.#end);
    return first - HEADER >= this.#index.bytes;
  }

  /** Appends all that is in force once more, at the end: not a part of it, which would then come after what is newer. */
  async #clearBeginning(): Promise<void> {
    const { start, generation } = this.#header;
    const to = this.#end;
    const isOpenEnded = this.#isOpenEnded;
    const all = { index: this.#index, from: start, to, generation };
    let isDone = false;
    try {
      for (const moved of moves(this.#disk, all)) {
        const text = moved.map(({ line }) => line).join("");
        await this.#write(bytesOf(this.#isOpenEnded ? `\n${text}` : text));
        this.#isOpenEnded = false;
        // A reader would meet these events twice.
        if (this.#cursors.size > 0) return;
      }
      this.#index.forget(start, to);
      this.#replayFrom(to, this.#end);
      isDone = true;
    } finally {
      if (!isDone && !this.#ownership.isLost) {
        await this.#disk.truncate(to);
        this.#end = to;
        this.#isOpenEnded = isOpenEnded;
      }
    }
  }

  /** Makes both slots of the header the same. */
  async #heal(): Promise<void> {
    await this.#putHeader({ ...this.#header, holder: this.#taken.claim });
  }

  /** Writes a header into the slot that is not in force. */
  async #putHeader(header: Omit<Header, "sequence">): Promise<void> {
    const next = { ...header, sequence: this.#header.sequence + 1 };
    const { bytes, offset } = placed(next, 1 - this.#slot);
    try {
      await this.#disk.writeAt(bytes, offset);
      await this.#disk.sync();
      this.#header = next;
      this.#slot = 1 - this.#slot;
    } catch (error) {
      // It may be in force on the disk, or not: what is appended now might be of the wrong generation.
      throw this.#ownership.lose(
        systemError("write", this.#disk.path, error).message,
      );
    }
  }
}
