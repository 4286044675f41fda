// A file that is appended to, overwritten in place, synced and cut.
import * as fs from "node:fs";
import { dirname } from "node:path";
import process from "node:process";

/** The size of a file, and when it was last touched. */
export interface FileState {
  readonly size: number;
  /** In milliseconds, by the clock of the file system. */
  readonly mtimeMs: number;
  /** Whether its name was removed. */
  readonly isDeleted: boolean;
}

/** What {@linkcode Disk.append} has written before it failed. */
export class AppendError extends Error {
  readonly written: number;

  constructor(written: number, cause: Error) {
    super(cause.message, { cause });
    this.written = written;
  }
}

/**
 * One file. It is open twice: the first descriptor appends, so that two
 * processes can never overwrite each other's records; the second one writes in
 * place. Linux ignores the offset of a write to the first one.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/pwrite.2.html#BUGS}
 */
export class Disk {
  readonly path: string;
  readonly #end: number;
  readonly #inside: number;
  #isOpen = true;

  private constructor(path: string, end: number, inside: number) {
    this.path = path;
    this.#end = end;
    this.#inside = inside;
  }

  /** Opens a file, and makes it if it is not there. Throws what the system has failed with. */
  static open(path: string): Disk {
    const { O_APPEND, O_CREAT, O_RDWR } = fs.constants;
    const isNew = process.versions["deno"] === undefined &&
      !fs.existsSync(path);
    const end = fs.openSync(path, O_RDWR | O_CREAT | O_APPEND, 0o600);
    try {
      const inside = fs.openSync(path, O_RDWR);
      if (isNew) syncDirectory(dirname(path));
      return new Disk(path, end, inside);
    } catch (error) {
      fs.closeSync(end);
      throw error;
    }
  }

  /** What kind of file it is, if it is not a regular one. */
  otherKind(): string | undefined {
    const stats = fs.fstatSync(this.#end);
    if (stats.isFile()) return undefined;
    if (stats.isDirectory()) return "a directory";
    return stats.isFIFO()
      ? "a pipe"
      : stats.isCharacterDevice() || stats.isBlockDevice()
      ? "a device"
      : "no regular file";
  }

  state(): Promise<FileState> {
    return new Promise((resolve, reject) =>
      fs.fstat(this.#end, (error, stats) => {
        if (error) return reject(error);
        const { size, mtimeMs, nlink } = stats;
        // Windows has no such number.
        const isDeleted = nlink === 0 && process.platform !== "win32";
        resolve({ size, mtimeMs, isDeleted });
      })
    );
  }

  /** Reads what there is at an offset, and returns how much it is. Blocks, for the time of a block from the cache. */
  read(into: Uint8Array, offset: number): number {
    let read = 0;
    while (read < into.length) {
      const n = fs.readSync(
        this.#inside,
        into,
        read,
        into.length - read,
        offset + read,
      );
      if (n === 0) break;
      read += n;
    }
    return read;
  }

  /** @throws {AppendError} If not all of it was written. */
  async append(bytes: Uint8Array): Promise<void> {
    let written = 0;
    try {
      while (written < bytes.length) {
        written += await write(this.#end, bytes, written, null);
      }
    } catch (error) {
      throw new AppendError(written, error as Error);
    }
  }

  async writeAt(bytes: Uint8Array, offset: number): Promise<void> {
    let written = 0;
    while (written < bytes.length) {
      written += await write(this.#inside, bytes, written, offset + written);
    }
  }

  /** Makes all that was written durable, by either descriptor. */
  sync(): Promise<void> {
    return new Promise((resolve, reject) =>
      fs.fdatasync(this.#inside, (error) => error ? reject(error) : resolve())
    );
  }

  truncate(length: number): Promise<void> {
    return new Promise((resolve, reject) =>
      fs.ftruncate(
        this.#inside,
        length,
        (error) => error ? reject(error) : resolve(),
      )
    );
  }

  /** Sets the time of the last change to now. */
  touch(): void {
    const now = new Date();
    fs.futimes(this.#inside, now, now, () => {});
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    fs.closeSync(this.#end);
    fs.closeSync(this.#inside);
  }
}

function write(
  descriptor: number,
  bytes: Uint8Array,
  from: number,
  offset: number | null,
): Promise<number> {
  return new Promise((resolve, reject) =>
    fs.write(
      descriptor,
      bytes,
      from,
      bytes.length - from,
      offset,
      (error, written) => error ? reject(error) : resolve(written),
    )
  );
}

/** Makes the name of a new file durable. Deno would ask for the permission to read the directory. */
function syncDirectory(path: string): void {
  try {
    const directory = fs.openSync(path, fs.constants.O_RDONLY);
    fs.fsyncSync(directory);
    fs.closeSync(directory);
  } catch {
    // Windows opens no directories.
  }
}
