// Speed: the decisions a second of each limiter, round after round, as a table.

import type { RedisServer } from "../../cli/redis_server.ts";
import { run } from "../process.ts";
import { ratioOf, type Sample, valueOf } from "../results.ts";
import { seed } from "../seed.ts";
import { markdown, shorten } from "../table.ts";
import { ours, timed } from "./contestants.ts";
import { type LimiterRow, limiterRows, type Pace } from "./rows.ts";
import type { LimiterJob } from "./worker.ts";

/** How much to measure. */
export interface SpeedOptions {
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Only these rows, by name; empty for all. */
  readonly rows: readonly string[];
}

/** What was measured. */
export interface Speed {
  readonly table: string;
  /** The processor's time that a decision takes. */
  readonly cost: string;
  readonly samples: readonly Sample[];
  /** The rows where many call and ours is not as many times as fast as wanted. */
  readonly missed: readonly string[];
}

/** Where many call, ours is to make as many times the decisions of the others. */
const WANTED = 3;

/** What is appended to the name of a row, for what its decisions cost. */
const CLIENT = ", client";
const SERVER = ", server";

/**
 * Measures.
 *
 * @param apart What to put before the command of a limiter.
 */
export async function measureSpeed(
  server: RedisServer,
  apart: readonly string[],
  options: SpeedOptions,
): Promise<Speed> {
  const rows = limiterRows.filter(({ name }) =>
    options.rows.length === 0 || options.rows.includes(name)
  );
  const samples: Sample[] = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const row of rows) {
      const first = round % timed.length;
      const turn = [...timed.slice(first), ...timed.slice(0, first)];
      for (const { name, program } of turn) {
        console.error(
          `round ${round + 1} of ${options.rounds}, ${row.title}: ${name}`,
        );
        await seed(server.port, [["SCRIPT", "FLUSH"]]);
        const job: LimiterJob = {
          row: row.name,
          url: server.url,
          warmUpMs: options.warmUpMs,
          measureMs: options.measureMs,
        };
        const argv = [...apart, ...program, JSON.stringify(job)];
        const before = await cpuSecondsOf(server);
        const pace = JSON.parse((await run(argv)).stdout) as Pace;
        const serverSeconds = await cpuSecondsOf(server) - before;
        const note = (kind: string, value: number) =>
          samples.push({ round, row: row.name + kind, client: name, value });
        note("", pace.perSecond);
        note(CLIENT, pace.cpuUs);
        note(SERVER, serverSeconds * 1e6 / pace.decisions);
      }
    }
  }
  return {
    table: drawn(rows, samples),
    cost: drawnCost(rows, samples),
    samples,
    missed: rows.filter(({ callers }) => callers > 1).flatMap((row) =>
      timed.slice(1)
        .filter(({ name }) => leadOver(samples, row, name) < WANTED)
        .map(({ name }) =>
          `${row.title}: ${
            leadOver(samples, row, name).toFixed(2)
          } times ${name}, wanted ${WANTED}`
        )
    ),
  };
}

/** How many times the decisions of another limiter ours makes. */
const leadOver = (
  samples: readonly Sample[],
  { name }: LimiterRow,
  other: string,
): number => ratioOf(samples, name, ours.name, other);

function drawn(
  rows: readonly LimiterRow[],
  samples: readonly Sample[],
): string {
  const cell = (row: LimiterRow, name: string): string => {
    const value = shorten(valueOf(samples, row.name, name));
    return name === ours.name
      ? value
      : `${value} · ${leadOver(samples, row, name).toFixed(1)}`;
  };
  const names = timed.map(({ name }) => name);
  return markdown([
    ["decisions a second", ...names],
    ...rows.map((row) => [
      row.title,
      ...names.map((name) => cell(row, name)),
    ]),
  ]);
}

/** Microseconds of the client and of the server. */
function drawnCost(
  rows: readonly LimiterRow[],
  samples: readonly Sample[],
): string {
  const names = timed.map(({ name }) => name);
  const us = (row: string, name: string) =>
    valueOf(samples, row, name).toFixed(1);
  return markdown([
    ["CPU, client + server", ...names],
    ...rows.map((row) => [
      row.title,
      ...names.map((name) =>
        `${us(row.name + CLIENT, name)} + ${us(row.name + SERVER, name)}`
      ),
    ]),
  ]);
}

async function cpuSecondsOf(server: RedisServer): Promise<number> {
  const info = await server.cli("INFO", "cpu");
  const of = (name: string) =>
    Number(new RegExp(`${name}:(\\S+)`).exec(info)?.[1]);
  return of("used_cpu_user") + of("used_cpu_sys");
}
