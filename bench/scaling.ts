// Scaling: whether our cost grows straight, one question after the other.

import { startRedis } from "../cli/redis_server.ts";
import { endOnSignal, killAll, run } from "./process.ts";
import type { Finding } from "./scaling/measure.ts";
import { shapeNames } from "./scaling/pieces.ts";
import { seed } from "./seed.ts";
import { markdown } from "./table.ts";

/** A question for a worker, and the most that its answer may be. */
interface Question {
  title: string;
  args: [question: string, argument: string];
  limit: number;
  /** What grows as much without us: garbage to collect, pages to ask for. */
  bare?: "bulk" | "elements" | "callers";
}

/** Two equal throughputs differ by this much within a process. */
const NOISE = 0.03;
/** Two equal growths differ by this much from one process to the next. */
const BARE_NOISE = 0.1;

const questions: Question[] = [
  {
    title: "time a byte, 64 MB as bytes to 1 MB",
    args: ["bulk", "bytes"],
    limit: 1.5,
    bare: "bulk",
  },
  {
    title: "time a byte, 64 MB as text to 1 MB",
    args: ["bulk", "text"],
    limit: 1.5,
    bare: "bulk",
  },
  {
    title: "time an element, array of 1 M to 10k",
    args: ["elements", ""],
    limit: 1.5,
    bare: "elements",
  },
  {
    title: "peak memory of 64 MB as bytes, to its size",
    args: ["peak", "bytes"],
    limit: 2.5,
  },
  {
    title: "peak memory of 64 MB as text, to its size",
    args: ["peak", "text"],
    limit: 2.5,
  },
  {
    title: "time a command, 10,000 callers to 1,000",
    args: ["callers", ""],
    limit: 1 + NOISE,
    bare: "callers",
  },
  {
    title: "MiB kept by the process of 1 GB in 16 replies",
    args: ["memory", "large"],
    limit: 64,
  },
  {
    title: "MiB kept alive of 1 GB in 10,000 replies",
    args: ["memory", "small"],
    limit: 8,
  },
  ...[1, 7, 1460].flatMap((length) =>
    shapeNames.map((shape): Question => ({
      title: `time a byte in pieces of ${length}: ${shape}, 16 times as long`,
      args: ["pieces", `${shape}/${length}`],
      limit: 1.5,
    }))
  ),
];

async function main(): Promise<number> {
  const only = Deno.args[0];
  if (only === "--help" || only === "-h") {
    console.log("./dev deno task scaling [part of a title]");
    return 0;
  }
  const asked = questions.filter(({ title }) => title.includes(only ?? ""));
  if (asked.length === 0) throw new Error(`no question has ${only} in it`);
  await using server = await startRedis();
  using _signals = endOnSignal(server);
  await seed(server.port, values());
  const lines = [["ours", "measured", "at most", "bare", "", "how"]];
  let over = 0;
  for (const { title, args, limit, bare } of asked) {
    console.error(`scaling: ${title}`);
    const { measured, detail } = await ask(args, server.url);
    const yardstick = bare && (await ask(["bare", bare], server.url));
    // NaN where there is no /proc: it is over no limit.
    const isOver = measured > limit &&
      !(measured <= (1 + BARE_NOISE) * (yardstick?.measured ?? 0));
    if (isOver) over++;
    lines.push([
      title,
      measured.toFixed(2),
      String(limit),
      yardstick?.measured.toFixed(2) ?? "",
      isOver ? "OVER" : "",
      detail,
    ]);
  }
  console.log(markdown(lines));
  return over > 0 ? 1 : 0;
}

/** What the questions read. */
function values(): string[][] {
  const text = (length: number) => "webhook,".repeat(length / 8);
  const list = (key: string, length: number) =>
    Array.from({ length: length / 10_000 }, () => [
      "RPUSH",
      key,
      ...Array.from({ length: 10_000 }, () => crypto.randomUUID()),
    ]);
  return [
    ["SET", "scaling:100kb", text(100_000)],
    ["SET", "scaling:1mb", text(2 ** 20)],
    ["SET", "scaling:64mb", text(2 ** 26)],
    ...list("scaling:10k", 10_000),
    ...list("scaling:1m", 1_000_000),
  ];
}

async function ask(args: string[], url: string): Promise<Finding> {
  const imports = (Deno.env.get("IMPORTS") ?? "").split(" ").filter(Boolean);
  const worker = new URL("scaling/worker.ts", import.meta.url).pathname;
  const flags = ["--quiet", "-A", "--v8-flags=--expose-gc"];
  const argv = [Deno.execPath(), "run", ...flags, ...imports, worker];
  const { stdout } = await run([...argv, ...args, url], {
    timeoutMs: 120_000,
  });
  return JSON.parse(stdout);
}

try {
  Deno.exitCode = await main();
} catch (error) {
  killAll();
  console.error(`scaling: ${error instanceof Error ? error.message : error}`);
  Deno.exitCode = 1;
}
