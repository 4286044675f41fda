// Pub/sub: how many messages a second this module and others take.

import { startRedis } from "../cli/redis_server.ts";
import { findContestants } from "./contestants.ts";
import { endOnSignal, run } from "./process.ts";
import type { PubsubJob, PubsubTiming } from "./pubsub/worker.ts";
import { ratioOf, type Sample, valueOf } from "./results.ts";
import { pin } from "./server.ts";
import { markdown, shorten } from "./table.ts";

const HELP =
  `How many messages a second a subscriber takes, side by side with ioredis and node-redis.

./dev bench pubsub [--quick]
`;

/** The least ratio to each of the others. */
const LEAST = 2;

const here = new URL(".", import.meta.url).pathname;
const imports = (Deno.env.get("IMPORTS") ?? "").split(" ").filter(Boolean);
const deno = [Deno.execPath(), "run", "--quiet", "-A", "--no-check"];

const CONTESTANTS = [
  {
    name: "ours, callback",
    row: "callback",
    worker: [...deno, ...imports, `${here}pubsub/ours.ts`],
  },
  {
    name: "ours, iterator",
    row: "iterator",
    worker: [...deno, ...imports, `${here}pubsub/ours.ts`],
  },
  {
    name: "ioredis",
    row: "callback",
    worker: [...deno, `${here}peers/ioredis_pubsub.ts`],
  },
  {
    name: "node-redis",
    row: "callback",
    worker: [...deno, `${here}peers/node_redis_pubsub.ts`],
  },
];

/** What is published: the size of a message, and how many channels take turns. */
const ROWS = [
  { size: 32, channels: 1 },
  { size: 32, channels: 100 },
  { size: 500, channels: 1 },
];

/** Runs the command. Returns its exit code. */
export async function pubsub(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    console.log(HELP);
    return 0;
  }
  const isQuick = args.includes("--quick");
  const rounds = isQuick ? 2 : 7;
  await findContestants(); // installs the peers
  await using server = await startRedis({
    config: { "client-output-buffer-limit": "pubsub 0 0 0" },
  });
  using _signals = endOnSignal(server);
  const apart = await pin(server);
  const speed: Sample[] = [];
  const cost: Sample[] = [];
  const failures = new Map<string, string>();
  for (let round = 0; round < rounds; round++) {
    const first = round % CONTESTANTS.length;
    const turn = [...CONTESTANTS.slice(first), ...CONTESTANTS.slice(0, first)];
    for (const { size, channels } of ROWS) {
      for (const { name, row, worker } of turn) {
        const job: PubsubJob = {
          row,
          url: server.url,
          size,
          channels,
          burst: 50_000,
          bursts: isQuick ? 4 : 10,
        };
        try {
          const { stdout } = await run(
            [...apart, ...worker, JSON.stringify(job)],
            { timeoutMs: 60_000 },
          );
          const { perSecond, cpuNs } = JSON.parse(stdout) as PubsubTiming;
          const sample = { round, row: titleOf(size, channels), client: name };
          speed.push({ ...sample, value: perSecond });
          cost.push({ ...sample, value: cpuNs });
        } catch (error) {
          failures.set(name, String(error));
        }
      }
    }
  }
  console.log(`Messages a second, and the ratio of ours to theirs\n`);
  console.log(drawn(speed));
  console.log(`\nCPU of a message, all threads, in nanoseconds\n`);
  console.log(drawn(cost));
  for (const [what, why] of failures) console.log(`- ${what}: ${why}`);
  const least = Math.min(...ratios(speed));
  console.log(
    `\nThe least ratio is ${least.toFixed(2)}, wanted at least ${LEAST}`,
  );
  return least >= LEAST ? 0 : 1;
}

const titleOf = (size: number, channels: number): string =>
  `${size} bytes, ${channels} ${channels === 1 ? "channel" : "channels"}`;

const [OURS, ITERATOR, ...PEERS] = CONTESTANTS.map(({ name }) => name);

function drawn(samples: readonly Sample[]): string {
  const names = CONTESTANTS.map(({ name }) => name);
  const lines = ROWS.map(({ size, channels }) => {
    const row = titleOf(size, channels);
    return [
      row,
      ...names.map((name) => {
        const value = shorten(valueOf(samples, row, name));
        return name === OURS
          ? value
          : `${value} · ${ratioOf(samples, row, OURS!, name).toFixed(2)}`;
      }),
    ];
  });
  return markdown([["", ...names], ...lines]);
}

/** Of either way of ours to each peer, in each row. */
function ratios(samples: readonly Sample[]): number[] {
  return ROWS.flatMap(({ size, channels }) =>
    [OURS!, ITERATOR!].flatMap((ours) =>
      PEERS.map((peer) => ratioOf(samples, titleOf(size, channels), ours, peer))
    )
  ).filter((ratio) => !Number.isNaN(ratio));
}
