/**
 * Zombie connections at the command line: a proof of what they cost and how
 * they are cured, and a watch that finds out why a server or a proxy closes
 * connections.
 *
 * The proof runs on a Redis server of yours, or on one that it starts. It makes
 * connections that the server has closed and the client still takes for open.
 * It shows that they cost requests where there is no retry (`Connection closed
 * by server`), why each of them was closed, that the retry saves every request,
 * and that no webhook event is lost while all connections are killed ten times
 * a second.
 *
 * ```sh
 * deno run --allow-net jsr:@unzombie/redis/verify --url rediss://:password@redis.example
 * ```
 *
 * It touches only connections and keys of its own, and deletes the keys.
 *
 * The watch keeps idle and busy connections open for minutes or hours. It prints
 * the cause of each one that ends, and a summary at the end. It writes nothing.
 *
 * ```sh
 * deno run --allow-net jsr:@unzombie/redis/verify watch --url rediss://:password@redis.example
 * ```
 *
 * `--help` and `watch --help` list the options, the commands that the server must
 * permit, and the permissions that Deno needs.
 *
 * @module
 */
import { HELP, parseArguments } from "./proof/arguments.ts";
import { STANDARD_STREAMS } from "./output.ts";
import { UsageError } from "./command_line.ts";
import { Interrupt } from "./interrupt.ts";
import { prove } from "./proof/proof.ts";
import { adviceOf } from "./target.ts";
import { parseWatchArguments, WATCH_HELP } from "./watch/arguments.ts";
import { watch } from "./watch/command.ts";

/**
 * Runs the command. The report goes to standard output, errors and progress to
 * standard error.
 *
 * @example Print the options
 * ```ts
 * import { verify } from "@unzombie/redis/verify";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await verify(["--help"]), 0);
 * assertEquals(await verify(["watch", "--help"]), 0);
 * ```
 *
 * @param args The arguments of the command line.
 * @returns The exit code: 0 if it was proved, or watched to the end; 1 if it was
 * not proved, or the server to watch could not be reached; 2 if the arguments
 * are wrong, or the proof found no server, or one that refuses what is needed;
 * 130 if the proof was interrupted.
 */
export async function verify(args: readonly string[]): Promise<number> {
  using interrupt = new Interrupt();
  return await run(args, interrupt.signal);
}

async function run(
  args: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  try {
    const [command, ...rest] = args;
    return command === "watch"
      ? await runWatch(rest, signal)
      : await runProof(args, signal);
  } catch (error) {
    STANDARD_STREAMS.progress("");
    STANDARD_STREAMS.warn(adviceOf(error));
    if (signal.aborted) return 130;
    return error instanceof UsageError || isDenied(error) ? 2 : 1;
  }
}

async function runProof(
  args: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  const parsed = parseArguments(args);
  if (parsed.help) return help(HELP);
  const output = parsed.json
    ? { ...STANDARD_STREAMS, print: () => {} }
    : STANDARD_STREAMS;
  const proof = await prove(parsed, output, signal);
  if (parsed.json) console.log(JSON.stringify(proof, null, 2));
  return proof.ok ? 0 : 1;
}

async function runWatch(
  args: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  const parsed = parseWatchArguments(args);
  if (parsed.help) return help(WATCH_HELP);
  await watch(parsed, STANDARD_STREAMS, signal);
  return 0;
}

function help(text: string): number {
  console.log(text);
  return 0;
}

const isDenied = (error: unknown): boolean =>
  error instanceof Deno.errors.NotCapable;

if (import.meta.main) {
  // The listeners stay until the exit: without them a late signal, such as the
  // second one of timeout(1), would end the process with 130.
  const { signal } = new Interrupt();
  Deno.exit(await run(Deno.args, signal));
}
