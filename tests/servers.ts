// Runs the tests on newer servers: Redis and Valkey of Debian's later suites, fetched into .tools/.
import { importFlags } from "./support/imports.ts";

/** A server to test with. */
interface Server {
  readonly name: string;
  /** Where Debian has it. */
  readonly suite: string;
  /** The package, and the program in it. */
  readonly program: string;
  /** Whether it is the newest of its kind. */
  readonly newest: boolean;
}

const SERVERS: readonly Server[] = [
  { name: "redis-8", suite: "sid", program: "redis-server", newest: true },
  {
    name: "valkey-8",
    suite: "trixie",
    program: "valkey-server",
    newest: false,
  },
  { name: "valkey-9", suite: "sid", program: "valkey-server", newest: true },
];

/** The tests that depend most on the server: those that take longest, then the others. */
const SHORT = [
  "tests/pool/connection/connection_test.ts",
  "tests/pool/forensics/post_mortem_test.ts",
  "tests/recorder/recorder_test.ts",
  "tests/client/scans_test.ts",
  "tests/client/commands/replies_test.ts",
  "tests/client/commands/command_table_test.ts",
  "tests/client/commands/replay_test.ts",
  "tests/client/stored_code_test.ts",
  "tests/client/commands/sequence_test.ts",
  "tests/client/abort_test.ts",
  "tests/client/exclusive_call_test.ts",
  "tests/client/fate_of_calls_test.ts",
  "tests/client/lost_reply_test.ts",
  "tests/client/pipeline_call_test.ts",
  "tests/client/refusal_test.ts",
  "tests/client/retry_test.ts",
  "tests/client/urgent_test.ts",
  "tests/client/zombie_test.ts",
  "tests/client/commands/routing_test.ts",
  "tests/pubsub/subscriber_test.ts",
];

const HELP =
  `Runs the tests on newer servers, fetched by apt into .tools/servers.

./dev servers [options] [-- arguments of deno test]
  --short       only the tests that depend most on the server, on the newest
                Redis and the newest Valkey at once
  --only NAMES  only these servers, by name, separated by commas
  --fetch       fetch the servers, print where they are, and run nothing
  --help        this text

Servers: ${SERVERS.map(({ name }) => name).join(", ")}
Remove .tools/servers to fetch them anew.

Exit: 0 if every test has passed on every server, 1 if not, 2 for bad usage.
`;

interface Options {
  readonly servers: readonly Server[];
  /** All at once: what they print is printed server by server. */
  readonly atOnce: boolean;
  readonly fetchOnly: boolean;
  readonly testArguments: readonly string[];
}

/** @throws {Error} If an argument is not known. */
function parse(args: readonly string[]): Options | "help" {
  const left = [...args];
  let servers = SERVERS;
  let atOnce = false;
  let fetchOnly = false;
  const testArguments: string[] = [];
  while (left.length > 0) {
    const name = left.shift()!;
    switch (name) {
      case "--short":
        atOnce = true;
        servers = servers.filter(({ newest }) => newest);
        testArguments.push("--parallel", ...SHORT);
        break;
      case "--only": {
        const names = left.shift()?.split(",") ?? [];
        servers = servers.filter((server) => names.includes(server.name));
        if (servers.length === 0 || servers.length !== names.length) {
          throw new Error(`unknown server among ${names}, try --help`);
        }
        break;
      }
      case "--fetch":
        fetchOnly = true;
        break;
      case "--help":
      case "-h":
        return "help";
      case "--":
        testArguments.push(...left.splice(0));
        break;
      default:
        throw new Error(`unknown option ${name}, try --help`);
    }
  }
  return { servers, atOnce, fetchOnly, testArguments };
}

const root = decodeURIComponent(new URL("..", import.meta.url).pathname);

/**
 * Where the program of a server is, fetched if it is not there yet.
 *
 * @throws {Error} If it cannot be fetched.
 */
async function fetchServer({ name, suite, program }: Server): Promise<string> {
  const directory = `${root}.tools/servers/${name}`;
  const { success } = await new Deno.Command("sh", {
    args: [`${root}tests/servers/fetch.sh`, directory, suite, program],
  }).spawn().status;
  if (!success) throw new Error(`${name} could not be fetched`);
  return `${directory}/${program}`;
}

/** Runs the tests on one server. Returns whether all have passed. */
async function test(
  { name }: Server,
  program: string,
  { atOnce, testArguments }: Options,
): Promise<boolean> {
  const version = new Deno.Command(program, { args: ["--version"] });
  const { stdout } = await version.output();
  const heading = `${name}: ${new TextDecoder().decode(stdout).trim()}`;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...importFlags, "tests/run.ts", ...testArguments],
    cwd: root,
    // An address would be that of another server.
    env: {
      REDIS_SERVER: program,
      REDIS_URL: "",
      ...(atOnce ? { DENO_JOBS: "3" } : {}), // they mostly wait
    },
    ...(atOnce ? { stdout: "piped", stderr: "piped" } : {}),
  });
  if (!atOnce) {
    console.log(heading);
    return (await command.spawn().status).success;
  }
  const output = await command.output();
  console.log(heading);
  for (const bytes of [output.stdout, output.stderr]) {
    console.log(new TextDecoder().decode(bytes));
  }
  return output.success;
}

/** @throws {Error} If a server cannot be fetched, or a test has failed on one. */
async function run(options: Options): Promise<void> {
  const failed: string[] = [];
  const runOne = async (server: Server) => {
    const program = await fetchServer(server);
    if (options.fetchOnly) return console.log(program);
    if (!await test(server, program, options)) failed.push(server.name);
  };
  if (options.atOnce) await Promise.all(options.servers.map(runOne));
  else for (const server of options.servers) await runOne(server);
  if (failed.length > 0) {
    throw new Error(`tests have failed on ${failed.join(", ")}`);
  }
}

let options: Options | "help" | undefined;
try {
  options = parse(Deno.args);
} catch (error) {
  console.error(`servers: ${(error as Error).message}`);
  Deno.exitCode = 2;
}
if (options === "help") console.log(HELP);
else if (options !== undefined) {
  try {
    await run(options);
  } catch (error) {
    console.error(`servers: ${(error as Error).message}`);
    Deno.exitCode = 1;
  }
}
