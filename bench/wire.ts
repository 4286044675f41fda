// Wire: the bytes of requests and the length of replies, for the floor.

const encoder = new TextEncoder();

/** A command as the bytes on the wire. */
export function encode(command: readonly string[]): Uint8Array<ArrayBuffer> {
  let text = `*${command.length}\r\n`;
  for (const part of command) {
    text += `$${encoder.encode(part).length}\r\n${part}\r\n`;
  }
  return encoder.encode(text);
}

/** Commands end to end in one buffer: what a pipeline writes. */
export function encodeAll(
  commands: readonly (readonly string[])[],
): Uint8Array<ArrayBuffer> {
  const parts = commands.map(encode);
  const bytes = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** How many bytes a bulk string of `length` bytes takes in a reply. */
export function bulkLength(length: number): number {
  return `$${length}\r\n`.length + length + 2;
}
