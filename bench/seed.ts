// Seed: puts into Redis what a row needs, without any of the clients compared.

import { encodeAll } from "./wire.ts";

/** Empties Redis, then runs the commands. */
export async function seed(port: number, commands: string[][]): Promise<void> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  try {
    const all = [["FLUSHALL"], ...commands];
    const writer = conn.writable.getWriter();
    const written = writer.write(encodeAll(all));
    const reader = conn.readable.pipeThrough(new TextDecoderStream())
      .getReader();
    let replies = "";
    while (replies.split("\r\n").length <= all.length) {
      const { value, done } = await reader.read();
      if (done) throw new Error("Cannot seed: the server closed");
      replies += value;
    }
    await written;
    if (/^-/m.test(replies)) throw new Error(`Cannot seed: ${replies}`);
  } finally {
    conn.close();
  }
}
