// How a set of cases runs on a runtime and becomes tests: one for each set, with a step for each case.
import { assertEquals, assertLess } from "@std/assert";
import { subjects } from "./cases.ts";
import { Child, type Host } from "./child.ts";
import type { Assignment, CaseResult } from "./env.ts";
import { Lab } from "./lab.ts";

/** Cases take no longer than this, in milliseconds. */
const LIMIT_MS = 90_000;
/** A process that has nothing to do any more ends within this time, in milliseconds. */
const END_MS = 5000;

/** A runtime as the tests of cases see it. */
export interface Runtime extends Pick<Host, "label" | "name" | "version"> {
  /** Whether there is none, so that its tests are ignored. */
  readonly ignore: boolean;
  /** Runs cases, and gives their results as they come. */
  run(assignment: Assignment): AsyncIterable<CaseResult>;
}

/** The sets of cases in which versions of a runtime differ: those about sockets. */
export const SOCKETS: readonly string[] = [
  "connections that end",
  "connections that cannot be opened",
  "many bytes",
  "TLS",
];

/** Registers a test for each set of cases. */
export function testCases(
  runtime: Runtime,
  names: readonly string[] = Object.keys(subjects),
): void {
  const { label, name, version, ignore } = runtime;
  for (const subject of names) {
    const cases = subjects[subject]!;
    Deno.test(`${label}: ${subject}`, {
      ignore,
      timeout: LIMIT_MS,
    }, async (t) => {
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
    });
  }
}

/** A process of Deno, Node or Bun, which must end by itself after the last case. */
export const processOf = (host: Host): Runtime => ({
  ...host,
  async *run(assignment) {
    await using child = await Child.start(
      host,
      "cases",
      JSON.stringify(assignment),
    );
    for await (const line of child.lines) yield JSON.parse(line);
    const { code, afterLastLineMs } = await child.end();
    assertEquals(code, 0);
    assertLess(afterLastLineMs, END_MS, "something was left open");
  },
});
