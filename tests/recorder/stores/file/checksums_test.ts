// That the checksum of any part of a text is the one that reading it gives.
import "../../../support/strict.ts";
import { crc32 } from "node:zlib";
import { assertEquals } from "@std/assert";
import { Checksums } from "../../../../recorder/stores/file/checksums.ts";
import { Random } from "../../../support/random.ts";

Deno.test("The checksum between any two places is that of the bytes there, begun with any value", () => {
  const random = new Random();
  const bytes = Uint8Array.from({ length: 70_000 }, () => random.below(256));
  const checksums = new Checksums(bytes);
  const places = [0];
  for (let at = 0; at <= bytes.length; at += random.below(3000)) {
    checksums.note(at);
    places.push(at);
  }
  for (let n = 0; n < 2000; n++) {
    const [from, to] = [random.pick(places), random.pick(places)]
      .sort((a, b) => a - b) as [number, number];
    const initial = random.pick([0, 1, 2 ** 32 - 1, random.below(2 ** 31)]);
    assertEquals(
      checksums.between(from, to, initial),
      crc32(bytes.subarray(from, to), initial),
      `${from} to ${to}, begun with ${initial}`,
    );
  }
});
