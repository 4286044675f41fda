// Whether the log still belongs to this process, which says so by touching the file.
import { clearInterval, setInterval } from "node:timers";
import type { Disk } from "./disk.ts";
import { OutboxFileError } from "./errors.ts";
import { MAGIC, readFound } from "./header.ts";
import { bytesOf } from "./record.ts";

/** How often the file is touched, in milliseconds. */
const HEARTBEAT_MS = 1000;

/** What the file begins with. */
const FIRST = bytesOf(MAGIC);

/**
 * The hold of this process on the file. Once it is lost it does not come back: another
 * process has found this one silent for some seconds, or the file was changed by
 * something else.
 */
export class Ownership {
  readonly #disk: Disk;
  readonly #heartbeat: ReturnType<typeof setInterval>;
  /** Why nothing more can be written. */
  #lost: OutboxFileError | undefined;

  constructor(disk: Disk) {
    this.#disk = disk;
    this.#heartbeat = setInterval(() => disk.touch(FIRST), HEARTBEAT_MS);
    this.#heartbeat.unref();
  }

  /** Whether it is lost. */
  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /**
   * Checks that the file is the one that this process has written.
   *
   * @param end Where this process has ended it.
   * @param sequence That of its header, as this process has found or written it.
   * @returns Where it ends: behind `end` if another process has appended to it.
   * @throws {OutboxFileError} If it was taken over, replaced, cut or deleted.
   */
  async check(end: number, sequence: number): Promise<number> {
    if (this.#lost !== undefined) throw this.#lost;
    const { size, isDeleted } = await this.#disk.state();
    if (isDeleted) throw this.lose("it was deleted, moved or replaced");
    if (size === end) return size;
    if (!this.#hasHeader(sequence, size)) {
      throw this.lose("another process has taken it over, or has replaced it");
    }
    if (size < end) {
      throw this.lose(
        `it was cut from ${end} to ${size} bytes by something else`,
      );
    }
    return size;
  }

  /** The file is lost. @returns The error of all further calls. */
  lose(what: string): OutboxFileError {
    const { path } = this.#disk;
    this.end(); // another process must see when its holder ends
    return this.#lost = new OutboxFileError(
      "lost",
      path,
      `Cannot write outbox ${path}: ${what}; expected a file of this process alone: open it again`,
    );
  }

  /** Touches the file no more. */
  end(): void {
    clearInterval(this.#heartbeat);
  }

  /** Whether the header has a sequence, if there is one. */
  #hasHeader(sequence: number, size: number): boolean {
    try {
      const found = readFound(this.#disk, size);
      return found === undefined || found.header.sequence === sequence;
    } catch {
      return false; // it is another file
    }
  }
}
