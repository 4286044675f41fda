// Worker of scaling.ts: answers one question about ours, in a process of its own.

import { Redis } from "../../mod.ts";
import { bareBulk, bareCallers, bareElements } from "./bare.ts";
import {
  collect,
  dearer,
  type Finding,
  forgetPeak,
  growthOfCallers,
  statusBytes,
} from "./measure.ts";
import { pieces } from "./pieces.ts";

const MEBIBYTE = 1024 * 1024;
const [question, argument, url] = Deno.args as [string, string, string];

const questions: Record<string, () => Promise<Finding>> = {
  bulk: () => bulk(argument === "bytes"),
  elements,
  peak: () => peak(argument === "bytes"),
  callers,
  bare: () =>
    argument === "bulk"
      ? bareBulk(url)
      : argument === "elements"
      ? bareElements()
      : bareCallers(),
  memory: () => memoryBack(argument),
  pieces: () => {
    const [shape, length] = argument.split("/");
    return pieces(shape!, Number(length));
  },
};
console.log(JSON.stringify(await questions[question]!()));

/** Time a byte: one value of 64 MB to 64 values of 1 MB, one at a time. */
async function bulk(binary: boolean): Promise<Finding> {
  await using redis = new Redis(url, { maxConnections: 1 });
  const get = (key: string) => redis.send(["GET", key], { binary });
  return await dearer({
    units: 64 * MEBIBYTE,
    async run() {
      for (let n = 0; n < 64; n++) await get("scaling:1mb");
    },
  }, { units: 64 * MEBIBYTE, run: () => get("scaling:64mb") });
}

/** Time an element: one array of 1 M to 100 arrays of 10k, one at a time. */
async function elements(): Promise<Finding> {
  await using redis = new Redis(url, { maxConnections: 1 });
  const range = (key: string) => redis.send(["LRANGE", key, "0", "-1"]);
  return await dearer({
    units: 1e6,
    async run() {
      for (let n = 0; n < 100; n++) await range("scaling:10k");
    },
  }, { units: 1e6, run: () => range("scaling:1m") });
}

/** Peak memory of a 64 MB value, over what the process held before, to its size. */
async function peak(binary: boolean): Promise<Finding> {
  await using redis = new Redis(url, { maxConnections: 1 });
  for (let n = 0; n < 20; n++) await redis.send(["GET", "scaling:1mb"]);
  await collect();
  forgetPeak();
  const before = statusBytes("VmRSS");
  const value = await redis.send(["GET", "scaling:64mb"], { binary });
  const held = statusBytes("VmHWM") - before;
  const size = 64 * MEBIBYTE;
  if (value?.length !== size) {
    throw new Error("Cannot count: the value has another size");
  }
  return {
    measured: held / size,
    detail: `${(held / MEBIBYTE).toFixed(0)} MiB at the peak`,
  };
}

/** Time a command with 10,000 callers to that with 1,000, default options. */
async function callers(): Promise<Finding> {
  await using redis = new Redis(url);
  return await growthOfCallers((command) => redis.send(command));
}

/**
 * What stays of 1 GB of replies once they are dropped. Large ones go back to
 * the system, so the process is weighed. Small ones stay with the allocator,
 * in a program of bare arrays too, so what is alive is counted.
 */
async function memoryBack(shape: string): Promise<Finding> {
  await using redis = new Redis(url);
  const get = (key: string) => redis.send(["GET", key], { binary: true });
  for (let n = 0; n < 50; n++) await get("scaling:1mb");
  await collect();
  const rssBefore = statusBytes("VmRSS");
  const aliveBefore = aliveBytes();
  const [key, times] = shape === "large"
    ? ["scaling:64mb", 16] as const
    : ["scaling:100kb", 10_000] as const;
  let held: unknown[] = await Promise.all(
    Array.from({ length: times }, () => get(key)),
  );
  const during = statusBytes("VmRSS") - rssBefore;
  if (held.length !== times) throw new Error("Cannot count: replies missing");
  held = [];
  await collect();
  const after = statusBytes("VmRSS") - rssBefore;
  const alive = aliveBytes() - aliveBefore;
  const mib = (bytes: number) => `${(bytes / MEBIBYTE).toFixed(0)} MiB`;
  return {
    measured: (shape === "large" ? after : alive) / MEBIBYTE,
    detail: `${mib(during)} more while held, ${mib(after)} more after, ` +
      `${mib(alive)} of it alive`,
  };
}

function aliveBytes(): number {
  const { external, heapUsed } = Deno.memoryUsage();
  return external + heapUsed;
}
