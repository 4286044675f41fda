// Bare: what the same growth costs where no client is in between, only sockets, strings and promises.

import { setImmediate } from "node:timers";
import { dearer, type Finding, growthOfCallers } from "./measure.ts";

/** A value on a raw socket, in a new array each time: 64 MB to 64 times 1 MB. */
export async function bareBulk(url: string): Promise<Finding> {
  const { hostname, port } = new URL(url);
  const conn = await Deno.connect({ hostname, port: Number(port) });
  const encoder = new TextEncoder();
  const get = async (key: string, length: number) => {
    const request = `*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`;
    await conn.write(encoder.encode(request));
    const total = `$${length}\r\n`.length + length + 2;
    const value = new Uint8Array(total);
    for (let got = 0; got < total;) {
      got += await conn.read(value.subarray(got)) ?? Infinity;
    }
  };
  const finding = await dearer({
    units: 2 ** 26,
    async run() {
      for (let n = 0; n < 64; n++) await get("scaling:1mb", 2 ** 20);
    },
  }, { units: 2 ** 26, run: () => get("scaling:64mb", 2 ** 26) });
  conn.close();
  return finding;
}

/** Strings cut from decoded text and put into a list: 1 M to 100 times 10k. */
export function bareElements(): Promise<Finding> {
  const decoder = new TextDecoder();
  const lines = Array.from({ length: 95 }, () => crypto.randomUUID());
  const bytes = new TextEncoder().encode(lines.join("$36\r\n\r\n"));
  const fill = (length: number) => {
    const list: string[] = [];
    while (list.length < length) {
      const text = decoder.decode(bytes);
      for (let at = 0; at < text.length && list.length < length; at += 43) {
        list.push(text.slice(at, at + 36));
      }
    }
    return list;
  };
  return dearer({
    units: 1e6,
    async run() {
      for (let n = 0; n < 100; n++) await fill(10_000);
    },
  }, { units: 1e6, run: () => fill(1_000_000) });
}

/** Callers that wait for promises, all kept in one turn: 10,000 to 1,000. */
export function bareCallers(): Promise<Finding> {
  let waiting: ((reply: number) => void)[] = [];
  const send = () =>
    new Promise<number>((resolve) => {
      if (waiting.length === 0) setImmediate(answer);
      waiting.push(resolve);
    });
  const answer = () => {
    const answered = waiting;
    waiting = [];
    for (const resolve of answered) resolve(1);
  };
  return growthOfCallers(send);
}
