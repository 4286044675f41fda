// Runs `deno test`: most files beside each other, and afterwards those that measure.
//
// Types are not checked: that takes as long as 50 tests, and `./dev check` does it,
// for the examples in the documentation as well.
import { importFlags } from "./support/imports.ts";
import { startRedis } from "./support/redis_server.ts";

/** Files that measure time or memory to the limit of the machine. */
const MEASURING = [
  "tests/client/waking_test.ts",
  "tests/pool/connection/fuzz_test.ts",
  "tests/resp/encode_test.ts",
  "tests/resp/parser_test.ts",
];

/** `deno test` with these arguments; the examples in the documentation use the server at `redisUrl`. */
async function test(redisUrl: string, ...args: string[]): Promise<number> {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "-A",
      "--no-check",
      "--doc",
      "--trace-leaks",
      `--preload=${import.meta.resolve("./support/strict.ts")}`, // for the examples
      ...importFlags,
      ...args,
    ],
    env: { REDIS_URL: redisUrl },
  }).spawn().status;
  return code;
}

async function testAll(redisUrl: string): Promise<number> {
  const inCompany = await test(
    redisUrl,
    "--parallel",
    `--ignore=${MEASURING.join(",")}`,
  );
  const alone = await test(redisUrl, ...MEASURING);
  return inCompany || alone;
}

const run = (redisUrl: string): Promise<number> =>
  Deno.args.length === 0 ? testAll(redisUrl) : test(redisUrl, ...Deno.args);

const given = Deno.env.get("REDIS_URL");
if (given !== undefined && given !== "") {
  Deno.exitCode = await run(given);
} else {
  await using server = await startRedis();
  Deno.exitCode = await run(server.url);
}
