// Runs `deno test` with a Redis for the examples in the documentation: that of REDIS_URL, or one of its own.
import { importFlags } from "./support/imports.ts";
import { startRedis } from "./support/redis_server.ts";

async function test(redisUrl: string): Promise<number> {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "-A",
      "--doc",
      "--trace-leaks",
      `--preload=${import.meta.resolve("./support/strict.ts")}`, // for the examples
      ...importFlags,
      ...Deno.args,
    ],
    env: { REDIS_URL: redisUrl },
  }).spawn().status;
  return code;
}

const given = Deno.env.get("REDIS_URL");
if (given !== undefined && given !== "") {
  Deno.exitCode = await test(given);
} else {
  await using server = await startRedis();
  Deno.exitCode = await test(server.url);
}
