// A program in a process of its own, in the root of the project.
import { importFlags } from "./imports.ts";

/** A process that takes longer hangs, in milliseconds. */
const MOST_MS = 20_000;

/** How a program ended. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** How long the process lived, in milliseconds. */
  readonly ms: number;
}

/** Runs a TypeScript program with these permissions of Deno, and kills it if it hangs. */
export async function runProgram(
  permissions: readonly string[],
  program: string,
): Promise<Finished> {
  const startedAt = performance.now();
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...importFlags, ...permissions, "-"],
    cwd: new URL("../..", import.meta.url),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program));
  await writer.close();
  const hang = setTimeout(() => process.kill("SIGKILL"), MOST_MS);
  const { code, stdout, stderr } = await process.output();
  clearTimeout(hang);
  const text = new TextDecoder();
  return {
    code,
    stdout: text.decode(stdout),
    stderr: text.decode(stderr),
    ms: performance.now() - startedAt,
  };
}
