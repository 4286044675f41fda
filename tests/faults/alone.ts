// Plays a scenario in a process of its own, which must also come to an end by itself.
import { importFlags } from "../support/imports.ts";
import type { Form } from "./form.ts";
import type { Measured } from "./measured.ts";
import type { Scenario } from "./scenario.ts";

/** What a process may take to end when there is nothing left to do. */
const END_MS = 1000;
const PROGRAM = new URL("./alone_main.ts", import.meta.url);

/** What is played against the scenario. */
export type Load = "record" | "INCR";

/** Plays a scenario behind the command in `alone`, and complains if the process does not end. */
export async function playAlone<Row extends Measured>(
  { name, alone }: Scenario & Required<Pick<Scenario, "alone">>,
  load: Load,
  form: Form,
): Promise<Row> {
  const [program, ...args] = [
    ...alone.command,
    ...[Deno.execPath(), "run", "-A", ...importFlags],
    ...[decodeURIComponent(PROGRAM.pathname), name, load, JSON.stringify(form)],
  ];
  const process = new Deno.Command(program!, {
    args,
    env: { ...alone.env },
    stdout: "piped",
  }).spawn();
  let text = "";
  let saidAt = NaN;
  for await (
    const part of process.stdout.pipeThrough(new TextDecoderStream())
  ) {
    text += part;
    saidAt = performance.now();
  }
  const { code } = await process.status;
  const endedMs = performance.now() - saidAt;
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${text}`);
  // JSON knows no NaN.
  const row: Row = JSON.parse(text, (_, value) => value ?? NaN);
  if (!(endedMs > END_MS + form.leewayMs)) return row;
  const miss = `the process took ${endedMs.toFixed(0)} ms to end`;
  return { ...row, misses: [...row.misses, miss] };
}
