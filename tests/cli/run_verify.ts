// Runs the command line in a process of its own.
import { assertFalse } from "@std/assert";
import { importFlags } from "../support/imports.ts";

const VERIFY = new URL("../../cli/verify.ts", import.meta.url).href;
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
): Deno.Command {
  const { permissions = ["--allow-all"], env = {} } = options;
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      ...permissions,
      ...importFlags,
      VERIFY,
      ...args,
    ],
    env: { REDIS_URL: "", NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs the command to its end. */
export async function verify(args: readonly string[], options: Options = {}) {
  const output = await command(args, options).output();
  const [stdout, stderr] = [output.stdout, output.stderr]
    .map((bytes) => new TextDecoder().decode(bytes)) as [string, string];
  for (const secret of [PASSWORD, encodeURIComponent(PASSWORD)]) {
    assertFalse(`${stdout}${stderr}`.includes(secret), "prints the password");
  }
  return { code: output.code, stdout, stderr };
}
