// The file of a page, rewritten while a watch runs.
import { UsageError } from "../command_line.ts";
import type { WatchEvent } from "../watch/json_lines.ts";
import { Night } from "./night.ts";
import { page } from "./page.ts";

/** How long after an event the file is written again, in milliseconds. Events of that time are written together. */
const SOON_MS = 2000;
/** How often it is written without events, in milliseconds. */
const LATER_MS = 60_000;

/**
 * Writes a page. A new one replaces the old one in one step, so that a reader
 * always finds a whole page.
 *
 * @param path The file.
 * @param text The page.
 */
export async function writePage(path: string, text: string): Promise<void> {
  const written = `${path}.${Deno.pid}.tmp`;
  try {
    {
      using file = await Deno.open(written, {
        write: true,
        create: true,
        truncate: true,
      });
      let rest = new TextEncoder().encode(text);
      while (rest.length > 0) rest = rest.subarray(await file.write(rest));
      await file.sync();
    }
    await Deno.rename(written, path);
  } catch (error) {
    await Deno.remove(written).catch(() => {});
    throw error;
  }
}

/** Keeps the file of a watch up to date. */
export class ReportFile {
  readonly #path: string;
  readonly #onError: (error: Error) => void;
  readonly #night = new Night();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #dueAt = Infinity;
  #isOver = false;
  #writing: Promise<void> = Promise.resolve();

  /**
   * @param path The file.
   * @param onError Called when the file could not be written while the watch goes on; it is tried again.
   */
  constructor(path: string, onError: (error: Error) => void) {
    this.#path = path;
    this.#onError = onError;
  }

  /** Adds an event of the watch. */
  add(event: WatchEvent): void {
    this.#night.add(event);
    if (this.#night.hasBegun) this.#plan(SOON_MS);
  }

  /**
   * Writes the file for the last time.
   *
   * @throws {Error} If it cannot be written.
   */
  async close(): Promise<void> {
    this.#isOver = true;
    clearTimeout(this.#timer);
    await this.#writing;
    if (this.#night.hasBegun) await this.#write();
  }

  #plan(ms: number): void {
    const dueAt = performance.now() + ms;
    if (this.#isOver || dueAt >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => {
      this.#dueAt = Infinity;
      // One after the other: all of them write the same temporary file.
      this.#writing = this.#writing.then(() => this.#write())
        .catch(this.#onError).then(() => this.#plan(LATER_MS));
    }, ms);
  }

  async #write(): Promise<void> {
    if (!this.#night.isOver) this.#night.isNow(Date.now());
    await writePage(this.#path, page(this.#night));
  }
}

/**
 * Checks that a file can be written, before anything is watched for it.
 *
 * @param path The file.
 * @throws {UsageError} If it cannot be written.
 */
export async function checkWritable(path: string): Promise<void> {
  const probe = `${path}.${Deno.pid}.tmp`;
  try {
    const info = await Deno.stat(path).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
    if (info?.isDirectory) throw new Error("it is a folder");
    await Deno.writeTextFile(probe, "");
    await Deno.remove(probe);
  } catch (error) {
    throw new UsageError(
      `Cannot write the report to ${path}: ${(error as Error).message}`,
    );
  }
}
