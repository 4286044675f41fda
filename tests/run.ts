// Runs `deno test`: most files beside each other, and afterwards those that need the machine.
//
// `./dev test FILE` also traces where what a test leaves open was opened.
// Types are not checked: that takes as long as 50 tests, and `./dev check` does it,
// for the examples in the documentation as well.
import { importFlags } from "./support/imports.ts";
import { startRedis } from "./support/redis_server.ts";
import { installTools } from "./support/tools.ts";

/** Those that take more than 20 seconds: they begin first. One that waits follows one that computes. */
const LONG = [
  "tests/examples/webhook_service_hosts_test.ts",
  "tests/cli/proof/proof_test.ts",
  "tests/client/storm_test.ts",
  "tests/everywhere/node_test.ts",
  "tests/examples/status_page_test.ts",
  "tests/faults/faults_test.ts",
  "tests/examples/webhook_service_outbox_test.ts",
  "tests/examples/webhook_service_file_test.ts",
  "tests/faults/routed/routed_test.ts",
  "tests/recorder/outbox/stored_outbox_test.ts",
  "tests/everywhere/bun_test.ts",
  "tests/cli/report/browser_test.ts",
  "tests/examples/worker/shapes_test.ts",
];

/** Files that measure time or memory to the limit of a core, the longest first. */
const MEASURING = [
  "tests/resp/parser_test.ts",
  "tests/pool/connection/fuzz_test.ts",
  "tests/resp/encode_test.ts",
];

/** A file with a process that is busy all the time, and one that waits until frozen processes wake up. */
const BUSY = ["tests/client/busy_test.ts", "tests/client/waking_test.ts"];

const CORES = navigator.hardwareConcurrency;

/** `deno test` with these arguments; the examples in the documentation use the server at `redisUrl`. */
async function test(
  redisUrl: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<number> {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "-A",
      "--no-check",
      "--doc",
      // Traces double the time of tests with many calls: a leak is found without them.
      ...args.includes("--parallel") ? [] : ["--trace-leaks"],
      `--preload=${import.meta.resolve("./support/strict.ts")}`, // for the examples
      ...importFlags,
      ...args,
    ],
    env: { REDIS_URL: redisUrl, ...env },
  }).spawn().status;
  return code;
}

/** So many files at a time. */
const atOnce = (files: number): Record<string, string> => ({
  DENO_JOBS: `${files}`,
});

async function testAll(redisUrl: string): Promise<number> {
  // Not while time is measured. Tests that need what is missing then say why.
  await installTools().catch(() => {});
  const most = await test(
    redisUrl,
    [
      "--parallel",
      // As globs: beside a file that is named Deno 2.9 ignores no other path.
      `--ignore=${
        [...MEASURING, ...BUSY].map((file) => `**/${file}`).join(",")
      }`,
      ...LONG,
      ".",
    ],
    atOnce(CORES + 2), // they mostly wait
  );
  const measuring = await test(
    redisUrl,
    ["--parallel", ...MEASURING],
    atOnce(CORES),
  );
  const busy = await test(
    redisUrl,
    ["--parallel", ...BUSY],
    atOnce(BUSY.length),
  );
  return most || measuring || busy;
}

const run = (redisUrl: string): Promise<number> =>
  Deno.args.length === 0 ? testAll(redisUrl) : test(redisUrl, Deno.args);

const given = Deno.env.get("REDIS_URL");
if (given !== undefined && given !== "") {
  Deno.exitCode = await run(given);
} else {
  await using server = await startRedis();
  Deno.exitCode = await run(server.url);
}
