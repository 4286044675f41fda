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
 * the cause of each one that ends, and a summary at the end. It writes nothing to
 * the server; with `--report` it writes an HTML page of all that happened.
 *
 * ```sh
 * deno run --allow-net jsr:@unzombie/redis/verify watch --url rediss://:password@redis.example
 * ```
 *
 * The report makes the same page of the lines that `watch --json` has printed.
 *
 * ```sh
 * deno run --allow-read --allow-write jsr:@unzombie/redis/verify report lines.jsonl
 * ```
 *
 * `--help`, `watch --help` and `report --help` list the options, the commands that the server must
 * permit, and the permissions that Deno needs.
 *
 * @module
 */
import { parseReportArguments, REPORT_HELP } from "./report/arguments.ts";
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
 * assertEquals(await verify(["report", "--help"]), 0);
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
    if (command === "watch") return await runWatch(rest, signal);
    if (command === "report") return await runReport(rest);
    return await runProof(args, signal);
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
  if (parsed.report === undefined) {
    await watch(parsed, STANDARD_STREAMS, signal);
    return 0;
  }
  const { checkWritable, ReportFile } = await import("./report/report_file.ts");
  await checkWritable(parsed.report);
  const file = new ReportFile(
    parsed.report,
    (error) => STANDARD_STREAMS.warn(cannotWrite(error)),
  );
  try {
    await watch(parsed, STANDARD_STREAMS, signal, file);
  } finally {
    await file.close().catch((error) => {
      throw new Error(cannotWrite(error));
    });
  }
  return 0;
}

const cannotWrite = ({ message }: Error): string =>
  `Cannot write the report: ${message}`;

async function runReport(args: readonly string[]): Promise<number> {
  const parsed = parseReportArguments(args);
  if (parsed.help) return help(REPORT_HELP);
  const { report } = await import("./report/report.ts");
  for (const note of await report(parsed)) STANDARD_STREAMS.note(note);
  console.log(parsed.out);
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
