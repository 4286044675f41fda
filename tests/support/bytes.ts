// Bytes, joined and compared.
import { assertEquals, assertInstanceOf } from "@std/assert";

/** All parts in a row, in an array of their own. */
export function concat(
  ...parts: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let end = 0;
  for (const part of parts) {
    whole.set(part, end);
    end += part.length;
  }
  return whole;
}

/** Compares large arrays: byte by byte `assertEquals` would take seconds. */
export function assertSameBytes(
  actual: unknown,
  expected: Uint8Array,
  message = "bytes differ",
): void {
  assertInstanceOf(actual, Uint8Array, message);
  assertEquals(actual.length, expected.length, message);
  for (let i = 0; i < expected.length; i++) {
    if (actual[i] !== expected[i]) throw new Error(`${message}: byte ${i}`);
  }
}
