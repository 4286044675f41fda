// Facts: what each limiter sends to Redis, and what it does where Redis fails, measured.

import { type RedisServer, startRedis } from "../../cli/redis_server.ts";
import { run } from "../process.ts";
import { markdown } from "../table.ts";
import type { Answer, Burst } from "./conduct.ts";
import { UNLUCKY } from "./conduct.ts";
import {
  flexible,
  flexibleMemory,
  type LimiterContestant,
  ours,
  upstash,
} from "./contestants.ts";
import {
  type CountingProxyOptions,
  startCountingProxy,
  type Traffic,
} from "./counting_proxy.ts";
import { startRest } from "./rest.ts";
import type { LimiterJob } from "./worker.ts";

const FEW = 100;
const MANY = 300;

/** Makes every trial with every limiter. @returns A table in Markdown. */
export async function measureConduct(): Promise<string> {
  const limiters = [ours, flexible, flexibleMemory, upstash];
  const facts = await Promise.all(limiters.map(factsOf));
  const titles = Object.keys(facts[0]!);
  return markdown([
    ["", ...limiters.map(({ name }) => name)],
    ...titles.map((title) => [title, ...facts.map((fact) => fact[title]!)]),
  ]);
}

async function factsOf(
  limiter: LimiterContestant,
): Promise<Record<string, string>> {
  const tried = await Promise.all([
    cost(limiter, "open"),
    cost(limiter, "blocked"),
    attempt(limiter, "lost", { losesReplyTo: UNLUCKY.mallId }),
    attempt(limiter, "burst"),
    attempt(limiter, "away", { isSilent: true }),
    attempt(limiter, "away", "refused"),
  ]);
  const [open, blocked, lost, burst, silent, refused] = tried;
  const { most, limit } = burst.found as Burst;
  return {
    "round trips a decision": open.roundTrips,
    "commands, and those run by a script": open.commands,
    "bytes": open.bytes,
    "round trips, shop known to be blocked": blocked.roundTrips,
    "its reply is lost: counted": `${lost.counted} times, ${
      worded(lost.found as Answer)
    }`,
    [`most let through in a window, limit ${limit}`]: String(most),
    "Redis refuses connections": worded(refused.found as Answer),
    "Redis is silent": worded(silent.found as Answer),
  };
}

const worded = ({ answer, ms }: Answer): string =>
  `${answer} after ${(ms / 1000).toFixed(1)} s`;

/** What one decision costs: the difference between many and few, so that connecting does not count. */
async function cost(
  limiter: LimiterContestant,
  trial: string,
): Promise<{ roundTrips: string; commands: string; bytes: string }> {
  const few = await attempt(limiter, trial, {}, FEW);
  const many = await attempt(limiter, trial, {}, MANY);
  const each = (of: (tried: Tried) => number): string =>
    ((of(many) - of(few)) / (MANY - FEW)).toFixed(2).replace(/\.?0+$/, "");
  return {
    roundTrips: each(({ traffic }) => traffic.roundTrips),
    commands: `${each(({ traffic }) => traffic.commands)}, ${
      each(({ run }) => run)
    }`,
    bytes: each(({ traffic }) => traffic.bytes),
  };
}

interface Tried {
  readonly found: unknown;
  readonly traffic: Traffic;
  /** The commands that the server has run, those of scripts included. */
  readonly run: number;
  /** How often the unlucky shop was counted. */
  readonly counted: number;
}

/** Makes a trial on a server of its own, through a proxy. */
async function attempt(
  limiter: LimiterContestant,
  trial: string,
  network: CountingProxyOptions | "refused" = {},
  calls = 1,
): Promise<Tried> {
  await using server = await startRedis();
  await using rest = startRest(server.url);
  const isHttp = limiter === upstash;
  const scheme = isHttp ? "http" : "redis";
  const proxy = startCountingProxy(
    isHttp ? rest.port : server.port,
    network === "refused" ? {} : network,
  );
  if (network === "refused") proxy[Symbol.dispose]();
  try {
    const url = `${scheme}://127.0.0.1:${proxy.port}`;
    const job: LimiterJob = { trial, url, calls };
    const argv = [...limiter.program, JSON.stringify(job)];
    const { stdout } = await run(argv, { timeoutMs: 60_000 });
    return {
      found: JSON.parse(stdout),
      traffic: { ...proxy.traffic },
      run: await commandsRun(server),
      counted: await countOf(server, UNLUCKY.mallId),
    };
  } finally {
    if (network !== "refused") proxy[Symbol.dispose]();
  }
}

/** How many commands a server has run, without those of connecting and asking. */
async function commandsRun(server: RedisServer): Promise<number> {
  const stats = await server.cli("INFO", "commandstats");
  return stats.split("\n")
    .filter((line) =>
      !/^cmdstat_(info|hello|client|ping|eval|evalsha)\b/.test(line)
    )
    .reduce((sum, line) => sum + Number(/calls=(\d+)/.exec(line)?.[1] ?? 0), 0);
}

/** What the keys with a name in theirs have counted: strings by their value, sets by their size. */
async function countOf(server: RedisServer, name: string): Promise<number> {
  const keys = await server.cli("KEYS", `*${name}*`);
  let sum = 0;
  for (const key of keys.split("\n").filter(Boolean)) {
    const type = await server.cli("TYPE", key);
    const count = type.trim() === "zset" ? "ZCARD" : "GET";
    sum += Number(await server.cli(count, key)) || 0;
  }
  return sum;
}
