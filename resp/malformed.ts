// Bytes that are no reply, as an error that says what was expected and what they look like.
import { ProtocolError } from "./errors.ts";
import { decodeText } from "./receive_buffer.ts";

/** What a type byte of the newer protocol begins: https://redis.io/docs/latest/develop/reference/protocol-spec/ */
const RESP3_TYPES: Readonly<Record<string, string>> = {
  "_": "a null",
  "#": "a boolean",
  ",": "a double",
  "(": "a big number",
  "!": "a bulk error",
  "=": "a verbatim string",
  "%": "a map",
  "|": "an attribute",
  "~": "a set",
  ">": "a push",
};

/** So many bytes are shown of what begins like no reply. */
const SHOWN = 40;

/** A byte is not the one that the grammar asks for. */
export const unexpectedByte = (expected: string, got: number): ProtocolError =>
  malformed(`expected ${expected}, got ${quote(got)}`);

/** Bytes that begin like no reply. */
export function unknownType(bytes: Uint8Array): ProtocolError {
  const type = bytes[0]!;
  const character = String.fromCharCode(type);
  const start = decodeText(bytes.subarray(0, SHOWN));
  const resp3 = RESP3_TYPES[character];
  const hint = resp3 !== undefined
    ? `; this looks like RESP3, ${resp3} (${character}): this client speaks RESP2`
    : start.startsWith("HTTP/")
    ? "; this looks like an HTTP server"
    : type === 0x15 || type === 0x16
    ? "; this looks like TLS: use rediss://"
    : "";
  return malformed(
    `expected one of + - : $ *, got ${quote(type)} in ${
      JSON.stringify(start)
    }${hint}`,
  );
}

/** A value is out of its range. */
export const malformed = (what: string): ProtocolError =>
  new ProtocolError(`Malformed reply: ${what}`);

/** A byte as a character in quotes, or by its number. */
export const quote = (byte: number): string =>
  byte > 32 && byte < 127
    ? JSON.stringify(String.fromCharCode(byte))
    : `byte 0x${byte.toString(16).padStart(2, "0")}`;
