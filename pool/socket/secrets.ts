// Masks a password in a text that a server may have put it into.

/** No more characters of a password than this are ever shown in a row. */
const MAX_SHOWN = 3;
const MASK = "***";

/** One byte as it stands in a text: its value, and from where to where. */
interface Place {
  readonly byte: number;
  readonly from: number;
  readonly to: number;
}

/** The ways to write a byte: percent-encoded, escaped by number or by letter, or as it is. Backslashes are passed over: their number depends on how often a text was escaped. */
const WRITTEN =
  /%([0-9a-f]{2})|\\+x([0-9a-f]{2})|\\+u([0-9a-f]{4})|\\+([nrtab])|[^\\]/giu;
const LETTERS: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  a: "\x07",
  b: "\b",
};
const utf8 = new TextEncoder();

/**
 * Masks every part of a password in a text, four characters of it or more:
 * a server may have cut what it repeats, at either end, and may have escaped
 * it like JSON, like C, like a URL or by base64. A password of three characters
 * or less is masked where it stands as a word of its own.
 *
 * @param text A text of a server or a system.
 * @param secret The password. An empty one, or none, masks nothing.
 * @returns The text, with `***` for each run that was masked.
 */
export function mask(text: string, secret: string | undefined): string {
  if (secret === undefined || secret === "") return text;
  const places = placesOf(text);
  const isSecret = new Uint8Array(places.length);
  const bytes = lower(places);
  for (const form of formsOf(secret)) {
    const size = Math.min(form.length, MAX_SHOWN + 1);
    const parts = new Set<string>();
    for (let i = 0; i + size <= form.length; i++) {
      parts.add(form.slice(i, i + size));
    }
    for (let i = 0; i + size <= bytes.length; i++) {
      if (!parts.has(bytes.slice(i, i + size))) continue;
      const isShort = form.length <= MAX_SHOWN;
      if (isShort && !isWord(bytes, i, i + size)) continue;
      isSecret.fill(1, i, i + size);
    }
  }
  let masked = "";
  let shownTo = 0;
  for (let i = 0; i < places.length; i++) {
    if (isSecret[i] === 0) continue;
    const { from } = places[i]!;
    while (isSecret[i + 1] === 1) i++;
    masked += text.slice(shownTo, from) + MASK;
    shownTo = places[i]!.to;
  }
  return masked + text.slice(shownTo);
}

/** A password's bytes as a text may hold them: as UTF-8 or Latin-1, read like the text or as it is, and by base64 at each of its three offsets. */
function formsOf(secret: string): string[] {
  const encoded = String.fromCharCode(...utf8.encode(secret));
  const plain = [
    lower(placesOf(encoded)),
    lower(placesOf(secret)),
    lower(Array.from(utf8.encode(secret), (byte) => ({ byte }))),
  ];
  if (encoded.length <= MAX_SHOWN) return [...new Set(plain)];
  const base64 = [0, 1, 2].map((offset) =>
    // The characters at both ends depend on neighbouring bytes too: they are left out.
    btoa("\0".repeat(offset) + encoded).slice(offset === 0 ? 0 : offset + 1)
      .replace(/=+$/, "").slice(0, -1).toLowerCase()
  ).filter((form) => form.length > MAX_SHOWN);
  return [...new Set([...plain, ...base64])];
}

function placesOf(text: string): Place[] {
  const places: Place[] = [];
  for (const match of text.matchAll(WRITTEN)) {
    const [written, percent, hex, unicode, letter] = match;
    const from = match.index;
    const to = from + written.length;
    const code = percent ?? hex ?? unicode;
    const character = code !== undefined
      ? String.fromCharCode(Number.parseInt(code, 16))
      : letter !== undefined
      ? LETTERS[letter.toLowerCase()]!
      : written;
    const point = character.codePointAt(0)!;
    const bytes = point < 256 ? [point] : utf8.encode(character);
    for (const byte of bytes) places.push({ byte, from, to });
  }
  return places;
}

/** Their bytes, a character each, in lower case: some proxies change it. */
const lower = (places: readonly Pick<Place, "byte">[]): string =>
  places.map(({ byte }) =>
    String.fromCharCode(byte >= 65 && byte <= 90 ? byte + 32 : byte)
  ).join("");

const isWord = (bytes: string, from: number, to: number): boolean =>
  !/\w/.test(bytes.charAt(from - 1)) && !/\w/.test(bytes.charAt(to));
