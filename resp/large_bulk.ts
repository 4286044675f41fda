// A bulk string too large for the receive buffer, received right where it will stay.

/** What an announced length may reserve before its bytes have come. */
const FIRST_RESERVE = 4 * 1024 * 1024;
/** Text is decoded and forgotten, so up to this size one array serves again and again. */
const MOST_KEPT = 2 * 1024 * 1024;

/**
 * Room for one bulk string and the CRLF behind it. Memory follows the bytes
 * that have come: it grows fourfold, so each byte is moved a third of a time.
 */
export class LargeBulk {
  #bytes: Uint8Array | undefined;
  #kept: Uint8Array | undefined;
  #whole = 0;
  #filled = 0;

  /** Whether a bulk string is being received. */
  get isOpen(): boolean {
    return this.#bytes !== undefined;
  }

  /** Bytes that have come. */
  get filled(): number {
    return this.#filled;
  }

  /** Whether all of them have, or none is expected. */
  get isFull(): boolean {
    return this.#filled === this.#whole;
  }

  /**
   * Begins a bulk string.
   *
   * @param length Its length without the CRLF.
   * @param come What has come of it.
   * @param binary Whether its array goes to the caller.
   */
  open(length: number, come: Uint8Array, binary: boolean): void {
    this.#whole = length + 2;
    const size = Math.min(this.#whole, Math.max(FIRST_RESERVE, come.length));
    if (binary || size > MOST_KEPT) {
      this.#bytes = new Uint8Array(size);
    } else {
      if (this.#kept === undefined || this.#kept.length < size) {
        this.#kept = new Uint8Array(size);
      }
      this.#bytes = this.#kept.subarray(0, size);
    }
    this.#bytes.set(come);
    this.#filled = come.length;
  }

  /** Where the next bytes go; not empty unless it is full. */
  room(): Uint8Array {
    let bytes = this.#bytes!;
    if (this.#filled === bytes.length && !this.isFull) {
      const larger = new Uint8Array(Math.min(4 * bytes.length, this.#whole));
      larger.set(bytes);
      this.#bytes = bytes = larger;
    }
    return bytes.subarray(this.#filled);
  }

  /** `count` more bytes stand where {@linkcode LargeBulk.room} pointed. */
  wrote(count: number): void {
    this.#filled += count;
  }

  /** Takes the bytes, CRLF included. Text must be decoded before the next bulk string begins. */
  take(): Uint8Array {
    const bytes = this.#bytes!;
    this.#bytes = undefined;
    this.#whole = this.#filled = 0;
    return bytes;
  }
}
