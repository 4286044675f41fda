// A file that is appended to, overwritten in place, synced and cut.
import * as fs from "node:fs";
import { dirname, resolve } from "node:path";
import process from "node:process";

/** The size of a file, and when it was last touched. */
export interface FileState {
  readonly size: number;
  /** In milliseconds, by the clock of the file system. */
  readonly mtimeMs: number;
  /** Whether its name was removed, or is that of another file by now. */
  readonly isDeleted: boolean;
}

/** Bytes are looked for in a part of the file that is at most so much longer than they are. */
const MAX_ROOM = 2 ** 20;

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
  /** The path, whatever the working directory is later. */
  readonly #place: string;
  /** Whether the path names the file by its number: some file systems give it several. */
  readonly #hasNumber: boolean;
  #isOpen = true;

  private constructor(path: string, end: number, inside: number) {
    this.path = path;
    this.#end = end;
    this.#inside = inside;
    this.#place = absolute(path);
    this.#hasNumber = hasNumber(this.#place, end);
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
    return "a pipe, a device or a socket";
  }

  async state(): Promise<FileState> {
    const stats = await new Promise<fs.Stats>((resolve, reject) =>
      fs.fstat(
        this.#end,
        (error, stats) => error ? reject(error) : resolve(stats),
      )
    );
    const { size, mtimeMs } = stats;
    return { size, mtimeMs, isDeleted: await this.#isElsewhere(stats) };
  }

  /** Whether the next process would not find this file at its path. */
  #isElsewhere(own: fs.Stats): Promise<boolean> {
    if (!this.#hasNumber) return Promise.resolve(false);
    return new Promise((resolve) =>
      fs.stat(this.#place, (error, found) => {
        if (error) resolve(error.code === "ENOENT");
        else resolve(!isSame(found, own));
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

  /** Where bytes are in a part of the file; `undefined` if they are not there whole, or far from its beginning. */
  find(bytes: Uint8Array, from: number, to: number): number | undefined {
    const room = to - from - bytes.length;
    if (room < 0 || room > MAX_ROOM) return undefined;
    const found = new Uint8Array(to - from);
    if (this.read(found, from) < found.length) return undefined;
    for (let at = 0; at <= room; at++) {
      if (bytes.every((byte, i) => byte === found[at + i])) return from + at;
    }
    return undefined;
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

  /**
   * Cuts off what an append that has failed has left.
   *
   * @param end Where the file ended before.
   * @param bytes What was to be appended.
   * @returns Whether nothing is left: not where another process has written there.
   */
  async takeBack(end: number, bytes: Uint8Array): Promise<boolean> {
    const left = (await this.state()).size - end;
    if (left === 0) return true;
    if (left < 0 || left > bytes.length) return false;
    const isOwn = this.find(bytes.subarray(0, left), end, end + left) === end;
    if (isOwn) await this.truncate(end);
    return isOwn;
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

  /**
   * Sets the time of the last change to now. Of a file of another user that can only be
   * done by a write: of its first byte, which is always the same.
   *
   * @param first That byte.
   */
  touch(first: Uint8Array): void {
    const now = new Date();
    fs.futimes(this.#inside, now, now, (error) => {
      if (error && this.#isOpen) {
        fs.write(this.#inside, first, 0, 1, 0, () => {});
      }
    });
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

/** Whether two paths or descriptors have one file. */
const isSame = (a: fs.Stats, b: fs.Stats): boolean =>
  a.ino === b.ino && a.dev === b.dev;

/** Whether a file is found at a path by its number. Windows has no such number. */
function hasNumber(path: string, descriptor: number): boolean {
  if (process.platform === "win32") return false;
  try {
    return isSame(fs.statSync(path), fs.fstatSync(descriptor));
  } catch {
    return false;
  }
}

/** A path from the root. Deno may not say where it is: then it cannot go elsewhere either. */
function absolute(path: string): string {
  try {
    return resolve(path);
  } catch {
    return path;
  }
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
