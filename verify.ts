/**
 * The command-line proof: on a Redis of yours, or one started for the run, it
 * makes connections that the server has closed and the client takes for open,
 * shows what they cost without retry (`Connection closed by server`), that
 * the retry saves every request, and that no webhook event is lost while all
 * connections are killed ten times a second.
 *
 * ```sh
 * deno run -A jsr:@unzombie/redis/verify
 * deno run --allow-net jsr:@unzombie/redis/verify --url rediss://:password@redis.example
 * ```
 *
 * It touches no connection and no key but its own, and deletes its keys.
 * `--help` lists the options.
 *
 * @module
 */
import { HELP, parseArguments, UsageError } from "./verify/arguments.ts";
import { type Audience, prove } from "./verify/proof.ts";
import { textOf } from "./verify/server.ts";

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
 * ```
 *
 * @param args The arguments of the command line.
 * @returns The exit code: 0 proved, 1 not proved, 2 bad usage or no server,
 * 130 interrupted.
 */
export async function verify(args: readonly string[]): Promise<number> {
  const stop = new AbortController();
  const onSignal = () => {
    stop.abort(new Error("interrupted"));
    ignoreSignals(); // the next one ends the process as usual
  };
  const ignoreSignals = () =>
    SIGNALS.forEach((name) => Deno.removeSignalListener(name, onSignal));
  try {
    const parsed = parseArguments(args);
    if (parsed.help) {
      console.log(HELP);
      return 0;
    }
    SIGNALS.forEach((name) => Deno.addSignalListener(name, onSignal));
    const audience = parsed.json ? { ...AUDIENCE, say: () => {} } : AUDIENCE;
    const proof = await prove(parsed, audience, stop.signal);
    if (parsed.json) console.log(JSON.stringify(proof, null, 2));
    return proof.ok ? 0 : 1;
  } catch (error) {
    AUDIENCE.progress("");
    AUDIENCE.warn(textOf(error));
    if (stop.signal.aborted) return 130;
    return error instanceof UsageError || isDenied(error) ? 2 : 1;
  } finally {
    ignoreSignals();
  }
}

const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT"]
  : ["SIGINT", "SIGTERM"];

const AUDIENCE: Audience = {
  say: (lines) => console.log(lines.join("\n")),
  progress(what) {
    if (!Deno.stderr.isTerminal()) return;
    Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${what}`));
  },
  warn: (what) => console.error(`verify: ${what}`),
};

const isDenied = (error: unknown): boolean =>
  error instanceof Deno.errors.NotCapable;

if (import.meta.main) Deno.exit(await verify(Deno.args));
