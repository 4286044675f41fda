// Runs the command line in a process of its own.
import { assertFalse } from "@std/assert";
import { importFlags } from "../support/imports.ts";

const VERIFY = new URL("../../cli/verify.ts", import.meta.url).href;
const COMMAND_LINES = new URL("./command_lines.ts", import.meta.url).href;
/** A line that ends what a command has printed. */
const END = "=== the end ===";
/** A password that must never be printed. */
export const PASSWORD = "s3:cr/et@";

/** How to run the command. */
export interface Options {
  readonly permissions?: readonly string[];
  readonly env?: Record<string, string>;
}

/** The command in a process of its own. */
export function command(
  args: readonly string[],
  options: Options,
  program: string = VERIFY,
): Deno.Command {
  const { permissions = ["--allow-all"], env = {} } = options;
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      ...permissions,
      ...importFlags,
      program,
      ...args,
    ],
    env: { REDIS_URL: "", NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** What a command came to. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command to its end. */
export function verify(
  args: readonly string[],
  options: Options = {},
): Promise<Outcome> {
  return outcomeOf(command(args, options));
}

/** Runs command lines one after the other in one process: each would take 0.15 s of a core to start. */
export async function verifyEach(
  lines: readonly (readonly string[])[],
  options: Options = {},
): Promise<Outcome[]> {
  const args = [JSON.stringify([END, lines])];
  const { stdout, stderr } = await outcomeOf(
    command(args, options, COMMAND_LINES),
  );
  const printed = stdout.split(new RegExp(`${END}(\\d+)\\n`));
  const warned = stderr.split(`${END}\n`);
  return lines.map((_, i) => ({
    code: Number(printed[2 * i + 1]),
    stdout: printed[2 * i]!,
    stderr: warned[i]!,
  }));
}

async function outcomeOf(process: Deno.Command): Promise<Outcome> {
  const output = await process.output();
  const [stdout, stderr] = [output.stdout, output.stderr]
    .map((bytes) => new TextDecoder().decode(bytes)) as [string, string];
  for (const secret of [PASSWORD, encodeURIComponent(PASSWORD)]) {
    assertFalse(`${stdout}${stderr}`.includes(secret), "prints the password");
  }
  return { code: output.code, stdout, stderr };
}
