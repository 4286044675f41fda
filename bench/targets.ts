// Targets: what our rows have to reach, and whether they do.

import { differenceOf, ratioOf, type Sample } from "./results.ts";
import { markdown } from "./table.ts";

/** One number that we hold ourselves to. */
export interface Target {
  what: string;
  measured: number;
  wanted: string;
  met: boolean;
}

/** Least share of the floor, by row. */
const OF_FLOOR: Record<string, number> = {
  "one": 0.95,
  "callers": 0.80,
  "bursts": 0.80,
  "get": 0.90,
  "tls-one": 0.95,
  "tls-callers": 0.80,
  "tls-bursts": 0.80,
  "tls-get": 0.90,
};

/** Least multiple of the best other client, by row. */
const OF_BEST: Record<string, number> = {
  "one": 1,
  "callers": 1,
  "bursts": 1,
  "get": 1,
  "get-text": 1.3,
  "lrange": 1.3,
  "tls-one": 1,
  "tls-callers": 1,
  "tls-bursts": 1,
  "tls-get": 1,
  "events": 1,
};

/** One argument that is not ASCII makes no command of the batch dearer than this. */
const ACCENT_COST = 1.3;
const HAPPY_PATH_ROWS = ["one", "callers", "bursts", "get"];
const HAPPY_PATH = 0.95;
/** A raw socket took 18 ms where 8 ms were granted. */
const COLD_MS = 8;
const COLD_RATIO = (18 + COLD_MS) / 18;
const COLD_MIB = 5;

/** Every target that these samples can tell about. */
export function targets(
  samples: readonly Sample[],
  peers: readonly string[],
): Target[] {
  const found: Target[] = [];
  const least = (what: string, measured: number, limit: number) =>
    found.push({
      what,
      measured,
      wanted: `at least ${limit}`,
      met: measured >= limit,
    });
  const most = (what: string, measured: number, limit: number) =>
    found.push({
      what,
      measured,
      wanted: `at most ${Number(limit.toFixed(2))}`,
      met: measured <= limit,
    });

  for (const [row, limit] of Object.entries(OF_FLOOR)) {
    least(
      `${row}: to the floor`,
      ratioOf(samples, row, "ours", "floor"),
      limit,
    );
  }
  for (const [row, limit] of Object.entries(OF_BEST)) {
    const best = bestOf(samples, row, peers);
    if (best === undefined) continue;
    const ratio = ratioOf(samples, row, "ours", best);
    least(`${row}: to ${best}, the best other`, ratio, limit);
  }
  least(
    "events: record() to single ZADDs",
    ratioOf(samples, "record", "ours", "ours", "events"),
    1,
  );
  most(
    "accent: time of a command to that of 64 callers",
    ratioOf(samples, "callers", "ours", "ours", "accent"),
    ACCENT_COST,
  );
  for (const row of HAPPY_PATH_ROWS) {
    const ratio = ratioOf(samples, row, "ours", "ours bare");
    least(`${row}: with retry and timeouts to without`, ratio, HAPPY_PATH);
  }
  most(
    "cold start: ms over the floor",
    differenceOf(samples, "cold-time", "ours", "floor"),
    COLD_MS,
  );
  most(
    "cold start: to the floor",
    ratioOf(samples, "cold-time", "ours", "floor"),
    COLD_RATIO,
  );
  most(
    "cold start: MiB over the floor",
    differenceOf(samples, "cold-memory", "ours", "floor"),
    COLD_MIB,
  );
  return found.filter(({ measured }) => !Number.isNaN(measured));
}

/** The peer that leaves ours least ahead. */
function bestOf(
  samples: readonly Sample[],
  row: string,
  peers: readonly string[],
): string | undefined {
  const ratios = peers
    .map((peer) => ({ peer, ratio: ratioOf(samples, row, "ours", peer) }))
    .filter(({ ratio }) => !Number.isNaN(ratio))
    .sort((a, b) => a.ratio - b.ratio);
  return ratios[0]?.peer;
}

/** The targets in print. */
export function targetTable(found: readonly Target[]): string {
  return markdown([
    ["ours", "measured", "wanted", ""],
    ...found.map(({ what, measured, wanted, met }) => [
      what,
      measured.toFixed(2),
      wanted,
      met ? "met" : "MISSED",
    ]),
  ]);
}
