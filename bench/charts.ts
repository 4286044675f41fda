// Draws the charts of the README from the figures of runs, and checks that pictures and figures agree.
import { run } from "./process.ts";
import { COLORS, type Scheme } from "./charts/colors.ts";
import {
  faultsOf,
  type PeerRun,
  type Results,
  speedsOf,
} from "./charts/data.ts";
import type { Job } from "./charts/draw.ts";

const HELP = `Draws the charts of the README from the figures of runs.

./dev bench charts [options]
  --speed FILE   take the speeds of this file, written by ./dev bench --json FILE
  --faults FILE  take the losses of this file, written by ./dev peers --json;
                 with a comma between them also of ./dev peers --cluster --json
  --check        draw nothing: compare the pictures with the figures
  --help         this text

The figures are kept in docs/charts/speed.json and docs/charts/faults.json, the
pictures beside them. Observable Plot is installed from npm into bench/charts/.
`;

const FOLDER = new URL("../docs/charts/", import.meta.url).pathname;
const HERE = new URL("charts/", import.meta.url).pathname;
const KINDS = ["speed", "faults"] as const;
const SCHEMES = Object.keys(COLORS) as Scheme[];

/** Draws a chart from the figures that are kept. */
async function draw(
  kind: Job["kind"],
  scheme: Scheme,
  folder = FOLDER,
): Promise<string> {
  const data = JSON.parse(await Deno.readTextFile(`${folder}${kind}.json`));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", "--no-lock", `${HERE}draw.ts`],
    cwd: HERE,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const output = child.output();
  await ReadableStream.from([JSON.stringify({ kind, scheme, data })])
    .pipeThrough(new TextEncoderStream()).pipeTo(child.stdin);
  const { success, stdout } = await output;
  if (!success) throw new Error(`Cannot draw ${kind}`);
  return new TextDecoder().decode(stdout);
}

/** Installs what draws, unless it is there. */
export async function install(): Promise<void> {
  try {
    await Deno.stat(`${HERE}node_modules/@observablehq/plot`);
    await Deno.stat(`${HERE}node_modules/linkedom`);
  } catch {
    await run(
      [
        "npm",
        "install",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
      ],
      { cwd: HERE, timeoutMs: 180_000 },
    );
  }
}

/** The pictures of a folder that do not show its figures, by file. */
export async function differences(folder = FOLDER): Promise<string[]> {
  await install();
  const wrong: string[] = [];
  for (const kind of KINDS) {
    for (const scheme of SCHEMES) {
      const file = `${kind}-${scheme}.svg`;
      const drawn = await Deno.readTextFile(folder + file).catch(() => "");
      if (drawn !== await draw(kind, scheme, folder)) wrong.push(file);
    }
  }
  return wrong;
}

async function keep(name: string, figures: unknown): Promise<void> {
  await Deno.mkdir(FOLDER, { recursive: true });
  await Deno.writeTextFile(
    `${FOLDER}${name}.json`,
    `${JSON.stringify(figures, null, 1)}\n`,
  );
}

async function read<T>(file: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(file));
}

/**
 * Draws, or checks.
 *
 * @returns The exit code: 1 if a picture does not show the figures.
 */
export async function charts(args: readonly string[]): Promise<number> {
  const rest = [...args];
  let isCheck = false;
  while (rest.length > 0) {
    const [name, inline] = rest.shift()!.split("=") as [string, string?];
    if (name === "--help") {
      console.log(HELP);
      return 0;
    }
    if (name === "--check") {
      isCheck = true;
      continue;
    }
    const file = inline ?? rest.shift();
    if ((name !== "--speed" && name !== "--faults") || file === undefined) {
      console.error(`bench: cannot use ${name}; see ./dev bench charts --help`);
      return 2;
    }
    if (name === "--speed") {
      await keep("speed", speedsOf(await read<Results>(file), "./dev bench"));
    } else {
      const runs = await Promise.all(file.split(",").map(read<PeerRun>));
      await keep("faults", faultsOf(runs));
    }
  }
  if (isCheck) {
    const wrong = await differences();
    for (const file of wrong) {
      console.error(`bench: docs/charts/${file} does not show the figures`);
    }
    return wrong.length === 0 ? 0 : 1;
  }
  await install();
  for (const kind of KINDS) {
    for (const scheme of SCHEMES) {
      const path = `${FOLDER}${kind}-${scheme}.svg`;
      await Deno.writeTextFile(path, await draw(kind, scheme));
      console.log(path);
    }
  }
  return 0;
}
