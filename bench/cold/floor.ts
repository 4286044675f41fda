// Cold start of the floor: one ZADD on a raw socket, then the end.

import { printPeak } from "./peak.ts";

const { hostname, port } = new URL(Deno.args[0]!);
const conn = await Deno.connect({ hostname, port: Number(port) });
const score = Math.floor(Date.now() / 1000);
await conn.write(
  new TextEncoder().encode(
    "*4\r\n$4\r\nZADD\r\n$39\r\nwebhook_frequency_mall1_1_order_created\r\n" +
      `$10\r\n${score}\r\n$36\r\n${crypto.randomUUID()}\r\n`,
  ),
);
const reply = new Uint8Array(16);
const length = await conn.read(reply);
if (length !== 4) throw new Error("Cannot count: not the reply of ZADD");
conn.close();
printPeak();
