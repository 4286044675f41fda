// That credentials change on Node and Bun as they do on Deno.

import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { bundled } from "../support/bundle.ts";
import { startRedis } from "../support/redis_server.ts";
import { programForTests } from "../support/tools.ts";

for (const name of ["node22", "bun"] as const) {
  const { path, ignore } = await programForTests(name);
  Deno.test({
    name:
      `A refused login is tried with other credentials, and a token is signed, on ${name}`,
    ignore,
    fn: async () => {
      await using server = await startRedis({ password: "right" });
      const folder = await Deno.makeTempDir();
      const program = `${folder}/program.mjs`;
      const source = new URL("./credentials_program.ts", import.meta.url);
      await Deno.writeTextFile(program, await bundled(source));
      const { stdout, stderr } = await new Deno.Command(path, {
        args: [program, `redis://127.0.0.1:${server.port}`],
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).output();
      const text = new TextDecoder();
      await Deno.remove(folder, { recursive: true });
      assertEquals(text.decode(stderr), "");
      assertEquals(text.decode(stdout), "PONG 2 true\n");
    },
  });
}
