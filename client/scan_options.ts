// What a scan is asked for, and what it gives: types alone.
import type { SendOptions } from "./send_options.ts";

/** Options of `sscan` and `zscan`, and of the other scans. */
export interface ScanOptions {
  /** A glob-style pattern, which each element must match: of HSCAN its field. @default {every one} */
  match?: string | Uint8Array | undefined;
  /**
   * How many elements the server looks at for a page, all of them in one go; that
   * many, more or less, are held by this client, and those of the next page. @default {1000}
   */
  count?: number | undefined;
  /** Ends it: the reason is thrown. */
  signal?: AbortSignal | undefined;
  /** Keys, fields, values and members become `Uint8Array`. @default {false} */
  binary?: boolean | undefined;
  /** The retry policy of each page. @default {the client's} */
  retry?: SendOptions["retry"] | undefined;
}

/** Options of `scan`. */
export interface KeyScanOptions extends ScanOptions {
  /** The type of the values, such as `"zset"`. @default {any} */
  type?: string | undefined;
}

/** Options of `hscan`. */
export interface FieldScanOptions extends ScanOptions {
  /** Whether to get fields alone (Redis 7.4 and later). @default {false} */
  noValues?: boolean | undefined;
}

/**
 * What is read while it is iterated over, once for each iteration.
 *
 * An element that is there from the beginning to the end of the iteration comes at
 * least once. One that is added or removed meanwhile may come or not, and any may
 * come more than once. The order means nothing.
 *
 * @typeParam Element What it is made of.
 */
export interface Scan<Element> extends AsyncIterable<Element> {
  /** Its elements, one by one. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Element>;
  /** The same in arrays, as they come from the server; none is empty. */
  pages(): AsyncIterableIterator<Element[]>;
}

/** What is scanned. */
export interface ScanSource {
  readonly name: "SCAN" | "HSCAN" | "SSCAN" | "ZSCAN";
  /** The key; `undefined` for SCAN. */
  readonly key?: string | Uint8Array;
  readonly settings: ScanSettings;
}

/** The options of any scan. */
export type ScanSettings = KeyScanOptions & FieldScanOptions;
