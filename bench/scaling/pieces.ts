// Pieces: replies that reach the parser a few bytes at a time.

import { ReplyParser } from "../../resp/parser.ts";
import { dearer, type Finding } from "./measure.ts";

const encoder = new TextEncoder();
const SMALL = 20;
const LARGE = 16 * SMALL;

/** The shapes, each a reply or replies `size` times as long as the smallest. */
const shapes: Record<string, (size: number) => string> = {
  tiny: (size) => ":1\r\n+OK\r\n$-1\r\n$1\r\na\r\n".repeat(size * 50),
  wide: (size) =>
    `*${size * 100}\r\n` + "*2\r\n:1\r\n$1\r\na\r\n".repeat(size * 100),
  deep: (size) => ("*1\r\n".repeat(100) + ":1\r\n").repeat(size * 4),
  bulk: (size) => `$${size * 2000}\r\n${"x".repeat(size * 2000)}\r\n`,
  line: (size) => `+${"x".repeat(size * 200)}\r\n`,
};

/** The names of the shapes. */
export const shapeNames: string[] = Object.keys(shapes);

/** What a byte of a long reply costs to that of a short one, in pieces. */
export function pieces(shape: string, pieceLength: number): Promise<Finding> {
  const work = (size: number, times: number) => {
    const bytes = encoder.encode(shapes[shape]!(size));
    return {
      units: bytes.length * times,
      run() {
        for (let n = 0; n < times; n++) parseInPieces(bytes, pieceLength);
      },
    };
  };
  return dearer(work(SMALL, LARGE / SMALL), work(LARGE, 1));
}

function parseInPieces(bytes: Uint8Array, pieceLength: number): void {
  const parser = new ReplyParser();
  let replies = 0;
  for (let at = 0; at < bytes.length; at += pieceLength) {
    parser.feed(bytes.subarray(at, at + pieceLength));
    while (parser.next() !== undefined) replies++;
  }
  if (replies === 0) throw new Error("Cannot count: no reply came");
}
