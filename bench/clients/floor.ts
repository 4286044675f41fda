// Floor: a raw Deno socket, requests already encoded, replies only counted.
// With the argument `own`, each reply goes into a new array, which is not reused.

import { readJob, time } from "../worker.ts";

const { job, row, ca } = readJob();
const conn = await dial();

async function dial(): Promise<Deno.Conn> {
  const { hostname, port } = new URL(job.url);
  const address = { hostname, port: Number(port) };
  if (ca !== undefined) {
    return await Deno.connectTls({ ...address, caCerts: [ca] });
  }
  const tcp = await Deno.connect(address);
  tcp.setNoDelay(true);
  return tcp;
}

const { requests, lines, bytes, freshen } = row.floor();
const own = Deno.args[0] === "own";
const size = own ? bytes : Math.max(65_536, bytes);
let buffer = new Uint8Array(size);

/** Writes one request, then reads: the server works while the read is armed. */
async function exchange(request: Uint8Array<ArrayBuffer>): Promise<void> {
  if (own) buffer = new Uint8Array(size);
  const written = write(request);
  let got = await conn.read(buffer);
  let left = lines > 0 ? lines : bytes;
  while (true) {
    if (got === null) throw new Error("Cannot go on: the server closed");
    left -= lines > 0 ? countLines(got) : got;
    if (left <= 0) break;
    got = await conn.read(lines > 0 ? buffer : buffer.subarray(bytes - left));
  }
  await written;
}

/** TLS takes 64 KiB in one write. */
async function write(request: Uint8Array<ArrayBuffer>): Promise<void> {
  let at = await conn.write(request);
  while (at < request.length) at += await conn.write(request.subarray(at));
}

function countLines(length: number): number {
  let count = 0;
  for (let at = 0; at < length; at++) if (buffer[at] === 10) count++;
  return count;
}

await time(job, row, async () => {
  freshen?.();
  for (const request of requests) await exchange(request);
});
conn.close();
