// A program that receives a reply of many equal parts, to see whether the heap that it was given survives.
//
//     deno run --v8-flags=--max-old-space-size=64 tests/support/heap.ts '{"head":"*9\\r\\n","unit":":1\\r\\n"}'

import { ReplyParser } from "../../resp/parser.ts";

const { head, unit, binary, maxMemory } = JSON.parse(Deno.args[0]!) as {
  readonly head: string;
  readonly unit: string;
  readonly binary: boolean;
  readonly maxMemory: number;
};
const utf8 = new TextEncoder();
const parser = new ReplyParser({ maxMemory, maxElements: 2 ** 20 });
const chunk = utf8.encode(unit.repeat(Math.ceil(50_000 / unit.length)));
/** What is large goes on for as long as any reply of this scale may. */
const MOST = 2 ** 30 / 16;

try {
  parser.feed(utf8.encode(head));
  let reply = parser.next(binary);
  for (let fed = 0; reply === undefined && fed < MOST; fed += chunk.length) {
    parser.feed(chunk);
    reply = parser.next(binary);
  }
  console.log("a reply", reply === undefined ? "that goes on" : "");
} catch (error) {
  console.log(/(\w+) is \d+$/.exec((error as Error).message)?.[1] ?? error);
}
