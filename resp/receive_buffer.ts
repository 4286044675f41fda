// Bytes received and not yet parsed: room to read into, and cheap text out of them.

const ROOM = 64 * 1024;
const MIN_ROOM = 4 * 1024;
const TEXT_WINDOW = 512;

// A byte order mark is data here, not a mark.
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Decodes bytes as UTF-8, bad sequences as U+FFFD. */
export const decodeText = (bytes: Uint8Array): string => utf8.decode(bytes);

/** A window of the stored bytes: `[position, end)` is what is left to parse. */
export class ReceiveBuffer {
  bytes: Uint8Array = new Uint8Array(0);
  position = 0;
  end = 0;

  #text = "";
  #textFrom = 0;
  #textTo = 0;
  #textIsAscii = false;

  /** Where the next bytes go, never empty. Call {@linkcode wrote} with how many came. */
  room(wanted: number = MIN_ROOM): Uint8Array {
    if (this.position === this.end) {
      this.position = this.end = 0;
      this.#textTo = 0;
      // At first there is none; and a large feed must not keep its room for ever.
      if (this.bytes.length !== ROOM) this.bytes = new Uint8Array(ROOM);
    }
    if (this.bytes.length - this.end < wanted) this.#makeRoom(wanted);
    return this.end === 0 ? this.bytes : this.bytes.subarray(this.end);
  }

  /** `count` more bytes stand where {@linkcode room} pointed. */
  wrote(count: number): void {
    this.end += count;
  }

  /**
   * The text of `[from, to)`, which must have been received whole.
   *
   * Decoding costs about 140 ns a call and cutting a piece off a decoded
   * string 12, so a window is decoded at once and elements are cut from it.
   * Cutting is right only if each byte became one unit, which is exactly when
   * the text is as long as its bytes.
   *
   * A piece of 13 characters or more keeps its window alive, so the window is
   * small. None would be better still, but there is no cheap way to a string
   * of its own: of the 99 ns that an element of LRANGE takes in all, the
   * decoder would add 140, `String.fromCharCode` 54 (20 characters) to 88
   * (36), joining pieces of 12, which V8 copies, 43; windows of a quarter of
   * this size add 12.
   */
  text(from: number, to: number): string {
    if (to > this.#textTo || from < this.#textFrom) {
      if (to - from > TEXT_WINDOW) {
        return utf8.decode(this.bytes.subarray(from, to));
      }
      const last = Math.min(this.end, from + TEXT_WINDOW);
      this.#text = utf8.decode(this.bytes.subarray(from, last));
      this.#textFrom = from;
      this.#textTo = last;
      this.#textIsAscii = this.#text.length === last - from;
    }
    return this.#textIsAscii
      ? this.#text.slice(from - this.#textFrom, to - this.#textFrom)
      : utf8.decode(this.bytes.subarray(from, to));
  }

  /** Moves what is left to the front; into a larger array if that is not enough. */
  #makeRoom(wanted: number): void {
    const left = this.end - this.position;
    const size = left + wanted <= this.bytes.length
      ? this.bytes.length
      : Math.max(2 * this.bytes.length, left + wanted);
    if (size === this.bytes.length) {
      this.bytes.copyWithin(0, this.position, this.end);
    } else {
      const larger = new Uint8Array(size);
      larger.set(this.bytes.subarray(this.position, this.end));
      this.bytes = larger;
    }
    this.position = 0;
    this.end = left;
    this.#textTo = 0;
  }
}
