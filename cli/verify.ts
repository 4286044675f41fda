/**
 * Zombie connections at the command line: a proof of what they cost and of the
 * cure, and a watch that finds out why a server or a proxy ends connections.
 *
 * The proof, on a Redis of yours, or one started for the run, makes
 * connections that the server has closed and the client takes for open, shows
 * what they cost without retry (`Connection closed by server`) and why each
 * died, that the retry saves every request, and that no webhook event is lost
 * while all connections are killed ten times a second.
 *
 * ```sh
 * deno run --allow-net jsr:@unzombie/redis/verify --url rediss://:password@redis.example
 * ```
 *
 * It touches no connection and no key but its own, and deletes its keys.
 *
 * The watch keeps connections open, idle and busy, for minutes or hours, and
 * prints each death with its cause, and a summary at the end. It writes nothing.
 *
 * ```sh
 * deno run --allow-net jsr:@unzombie/redis/verify watch --url rediss://:password@redis.example
 * ```
 *
 * `--help` and `watch --help` list the options, what the server must permit, and
 * what Deno must be allowed to do where the server is started for the run.
 *
 * @module
 */
import { HELP, parseArguments } from "./proof/arguments.ts";
import type { Audience } from "./output.ts";
import { UsageError } from "./command_line.ts";
import { Interrupt } from "./interrupt.ts";
import { prove } from "./proof/proof.ts";
import { adviceOf } from "./target.ts";
import { parseWatchArguments, WATCH_HELP } from "./watch/arguments.ts";
import { watch } from "./watch/command.ts";

/**
 * Runs the command; prints to standard output, errors and progress to
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
 * @returns The exit code: 0 proved, or watched to the end; 1 not proved, or no
 * server to watch; 2 bad usage, or for the proof no server, or one that refuses
 * what is needed; 130 interrupted.
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
    AUDIENCE.progress("");
    AUDIENCE.warn(adviceOf(error));
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
  const audience = parsed.json ? { ...AUDIENCE, say: () => {} } : AUDIENCE;
  const proof = await prove(parsed, audience, signal);
  if (parsed.json) console.log(JSON.stringify(proof, null, 2));
  return proof.ok ? 0 : 1;
}

async function runWatch(
  args: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  const parsed = parseWatchArguments(args);
  if (parsed.help) return help(WATCH_HELP);
  await watch(parsed, AUDIENCE, signal);
  return 0;
}

function help(text: string): number {
  console.log(text);
  return 0;
}

const isLive = Deno.stderr.isTerminal();

const AUDIENCE: Audience = {
  say: (lines) => console.log(lines.join("\n")),
  progress(what) {
    if (!isLive) return;
    Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${what}`));
  },
  isLive,
  note: (what) => console.error(what),
  warn: (what) => console.error(`verify: ${what}`),
};

const isDenied = (error: unknown): boolean =>
  error instanceof Deno.errors.NotCapable;

if (import.meta.main) {
  // Its listeners stay until the exit: without them a signal that comes late,
  // such as the second of timeout(1), would end the process with 130.
  const { signal } = new Interrupt();
  Deno.exit(await run(Deno.args, signal));
}
