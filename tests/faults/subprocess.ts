// Runs a scenario in a process of its own, which must also come to an end by itself.
import { importFlags } from "../support/imports.ts";
import type { ClientHost } from "./client_host.ts";
import type { LoadProfile } from "./load_profile.ts";
import type { Measured } from "./measured.ts";
import type { Scenario } from "./scenario.ts";

/** How long a process may take to end once it has nothing left to do. */
const END_MS = 1000;
const PROGRAM = new URL("./subprocess_main.ts", import.meta.url);

/** The load under the scenario. */
export type Load = "record" | "INCR";

/** Runs a scenario in a process that `subprocess` starts; that the process does not end is a violation. */
export async function runInSubprocess<Row extends Measured>(
  { name, subprocess }: Scenario & Required<Pick<Scenario, "subprocess">>,
  load: Load,
  profile: LoadProfile,
  host?: ClientHost,
): Promise<Row> {
  const [program, ...args] = [
    ...subprocess.command,
    ...[Deno.execPath(), "run", "-A", ...importFlags],
    ...[
      decodeURIComponent(PROGRAM.pathname),
      name,
      load,
      JSON.stringify(profile),
      host?.runtime ?? "deno",
    ],
  ];
  const process = new Deno.Command(program!, {
    args,
    env: { ...subprocess.env },
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
  // That of another runtime waits for that process, which has a limit of its own.
  if (host !== undefined || !(endedMs > END_MS + profile.leewayMs)) return row;
  const miss = `the process took ${endedMs.toFixed(0)} ms to end`;
  return { ...row, misses: [...row.misses, miss] };
}
