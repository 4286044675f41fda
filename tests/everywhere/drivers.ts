// How a set of cases runs on a runtime and becomes tests: one for each set, with a step for each case.
import { assertEquals, assertLess } from "@std/assert";
import { bundled } from "../support/bundle.ts";
import { importFlags } from "../support/imports.ts";
import { subjects } from "./cases.ts";
import type { Assignment, CaseResult, RuntimeName } from "./env.ts";
import { Lab } from "./lab.ts";

/** Cases take no longer than this, in milliseconds. */
const LIMIT_MS = 45_000;
/** A process that has nothing to do any more ends within this time, in milliseconds. */
const END_MS = 5000;
const PROGRAM = new URL("./program.ts", import.meta.url);

/** A runtime as a test sees it. */
export interface Runtime {
  /** In the names of tests, such as "Node 24". */
  readonly label: string;
  readonly name: RuntimeName;
  readonly version: string;
  /** Whether there is none, so that its tests are ignored. */
  readonly ignore: boolean;
  /** Runs cases, and gives their results as they come. */
  run(assignment: Assignment): AsyncIterable<CaseResult>;
}

/** Registers a test for each set of cases. */
export function testCases(runtime: Runtime): void {
  const { label, name, version, ignore } = runtime;
  for (const [subject, cases] of Object.entries(subjects)) {
    Deno.test(
      `${label}: ${subject}`,
      { ignore, timeout: 2 * LIMIT_MS },
      async (t) => {
        await using lab = new Lab();
        const missing = new Set(Object.keys(cases));
        const assignment = { lab: lab.url, subject, runtime: name, version };
        for await (const { name, error } of runtime.run(assignment)) {
          missing.delete(name);
          await t.step(name, () => {
            if (error !== undefined) throw new Error(error);
          });
        }
        assertEquals([...missing], []);
      },
    );
  }
}

/** This Deno, without the bundle: its modules are loaded as those of users are. */
export const deno: Runtime = {
  label: "Deno",
  name: "Deno",
  version: Deno.version.deno,
  ignore: false,
  run: (assignment) =>
    runProcess(Deno.execPath(), [
      "run",
      "-A",
      "--no-check",
      ...importFlags,
      PROGRAM.href,
      JSON.stringify(assignment),
    ]),
};

/** Node or Bun, at this path. */
export const processRuntime = (
  { path, ...runtime }: Omit<Runtime, "run"> & { readonly path: string },
): Runtime => ({
  ...runtime,
  async *run(assignment) {
    const dir = await Deno.makeTempDir();
    try {
      const bundle = `${dir}/program.mjs`;
      await Deno.writeTextFile(bundle, await bundled(PROGRAM));
      yield* runProcess(path, [bundle, JSON.stringify(assignment)]);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});

async function* runProcess(
  program: string,
  args: string[],
): AsyncGenerator<CaseResult> {
  const process = new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  const hang = setTimeout(() => process.kill("SIGKILL"), LIMIT_MS);
  let saidAt = NaN;
  let text = "";
  try {
    for await (
      const part of process.stdout.pipeThrough(new TextDecoderStream())
    ) {
      text += part;
      const lines = text.split("\n");
      text = lines.pop()!;
      for (const line of lines) {
        saidAt = performance.now();
        yield JSON.parse(line);
      }
    }
    const { code } = await process.status;
    assertEquals(code, 0);
    assertLess(performance.now() - saidAt, END_MS, "something was left open");
  } finally {
    clearTimeout(hang);
  }
}
