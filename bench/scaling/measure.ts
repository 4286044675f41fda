// Measure: times of two sizes in turn, so that a noisy moment hits both.

import { median } from "../results.ts";

/** What one question found: a number, and how it came about. */
export interface Finding {
  measured: number;
  detail: string;
}

/**
 * How much dearer a unit is in the large size than in the small one: the
 * median of the ratios of `rounds` rounds, after one to warm up.
 */
export async function dearer(
  small: { units: number; run(): unknown },
  large: { units: number; run(): unknown },
  rounds = 7,
): Promise<Finding> {
  const smalls: number[] = [];
  const larges: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const s = await nanosecondsAUnit(small);
    const l = await nanosecondsAUnit(large);
    if (round < 0) continue;
    smalls.push(s);
    larges.push(l);
  }
  return {
    measured: median(larges.map((l, n) => l / smalls[n]!)),
    detail: `${median(smalls).toPrecision(3)} ns a unit, then ` +
      `${median(larges).toPrecision(3)}`,
  };
}

/** Time a command of callers that each wait for their reply: 10,000 of them to 1,000. */
export function growthOfCallers(
  send: (command: [string, ...string[]]) => Promise<unknown>,
): Promise<Finding> {
  const members = Array.from({ length: 1000 }, () => crypto.randomUUID());
  const caller = async (c: number, commands: number) => {
    for (let n = 0; n < commands; n++) {
      await send(["ZADD", "scaling:zset", "1", members[(c + n) % 1000]!]);
    }
  };
  const work = (callers: number) => ({
    units: 200_000,
    run: () =>
      Promise.all(
        Array.from({ length: callers }, (_, c) => caller(c, 200_000 / callers)),
      ),
  });
  return dearer(work(1000), work(10_000), 11);
}

async function nanosecondsAUnit(
  work: { units: number; run(): unknown },
): Promise<number> {
  const start = performance.now();
  await work.run();
  return (performance.now() - start) * 1e6 / work.units;
}

/** A line of /proc/self/status, in bytes; NaN where there is no /proc. */
export function statusBytes(name: "VmRSS" | "VmHWM"): number {
  try {
    const status = Deno.readTextFileSync("/proc/self/status");
    const kib = new RegExp(`${name}:\\s*(\\d+)`).exec(status)?.[1];
    return Number(kib) * 1024;
  } catch {
    return NaN;
  }
}

/** Lets the peak resident size start again from the present one. */
export function forgetPeak(): void {
  Deno.writeTextFileSync("/proc/self/clear_refs", "5");
}

/** A full collection, several times over: buffers are freed by a second one. */
export async function collect(): Promise<void> {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) throw new Error("Cannot collect: no --expose-gc");
  for (let n = 0; n < 4; n++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
