// Runs programs that drive a browser, each in a process of its own: the browser is gone when that ends.
import { importFlags } from "./imports.ts";
import { linesOf } from "./lines.ts";
import { browserPath } from "./browser.ts";
import { installTools } from "./tools.ts";

/** Why there is no browser; `undefined` if there is one. */
async function missing(): Promise<string | undefined> {
  if (browserPath() === undefined) {
    return "there is no Chromium (apt-get install chromium)";
  }
  try {
    await installTools();
  } catch (error) {
    return `${error}`;
  }
}

const reason = await missing();

/** Whether tests with a browser are ignored. In CI one fails in their place. */
export const ignore: boolean = reason !== undefined;

if (reason !== undefined) {
  if (Deno.env.get("CI")) {
    Deno.test("A browser is installed", () => {
      throw new Error(reason);
    });
  } else console.log(`Tests with a browser are skipped: ${reason}`);
}

/**
 * Runs a program, and reads the JSON that it prints, in one line.
 *
 * @throws {Error} If it fails.
 */
export const seenBy = <T>(program: URL, ...args: string[]): Promise<T> =>
  conversation(program, args, (line) => {
    throw new Error(`expected JSON, not ${line}`);
  });

/**
 * Runs a program that asks for something by each line that it prints, and goes on when
 * it is done. Its last line is JSON.
 *
 * @param act Does what the program asks for.
 * @throws {Error} If it fails.
 */
export async function conversation<T>(
  program: URL,
  args: readonly string[],
  act: (asked: string) => unknown,
): Promise<T> {
  await using child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "-A", "--no-check", ...importFlags],
      program.href,
      ...args,
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  const answers = child.stdin.getWriter();
  let result: T | undefined;
  for await (const line of linesOf(child.stdout)) {
    if (line.startsWith("{")) result = JSON.parse(line);
    else {
      await act(line);
      await answers.write(new TextEncoder().encode("done\n"));
    }
  }
  await answers.close().catch(() => {});
  const { success } = await child.status;
  if (!success || result === undefined) throw new Error(await errors);
  await errors;
  return result;
}
