// Cluster: what routing costs, and how this module and others do on several primaries.

import { startRedis } from "../cli/redis_server.ts";
import type { RoutingCost, RoutingJob } from "./cluster/routing.ts";
import { startPrimaries } from "./cluster/primaries.ts";
import type { ClusterJob } from "./cluster/work.ts";
import { findContestants } from "./contestants.ts";
import { run } from "./process.ts";
import { ratioOf, type Sample, valueOf } from "./results.ts";
import { markdown, shorten } from "./table.ts";

const here = new URL(".", import.meta.url).pathname;
const imports = (Deno.env.get("IMPORTS") ?? "").split(" ").filter(Boolean);
const deno = [Deno.execPath(), "run", "--quiet", "-A"];

/** Routing may cost this much of the speed of one server. */
const LEAST_ROUTED = 0.85;
const ROUTING_ROUNDS = 60;
const PRIMARIES = [1, 2, 3];

interface ClusterContestant {
  readonly name: string;
  readonly worker: readonly string[];
  readonly rows: readonly ClusterJob["row"][];
}

const CONTESTANTS: readonly ClusterContestant[] = [
  {
    name: "ours",
    worker: [...deno, ...imports, `${here}cluster/ours.ts`],
    rows: ["send", "record"],
  },
  {
    name: "ioredis",
    worker: [...deno, `${here}peers/ioredis_cluster.ts`, "plain"],
    rows: ["send"],
  },
  {
    name: "ioredis auto",
    worker: [...deno, `${here}peers/ioredis_cluster.ts`, "auto"],
    rows: ["send"],
  },
  {
    name: "node-redis",
    worker: [...deno, `${here}peers/node_redis_cluster.ts`],
    rows: ["send"],
  },
];

/** Runs the command. Returns its exit code. */
export async function cluster(args: readonly string[]): Promise<number> {
  const isQuick = args.includes("--quick");
  const rounds = isQuick ? 1 : 5;
  const measureMs = isQuick ? 500 : 1500;
  await findContestants(); // installs the peers
  const routing = await routingCost();
  console.log(
    `SET of ${64} callers, keys of 41 characters, on one server: ${
      shorten(routing.plain)
    }/s without routing, ${shorten(routing.routed)}/s with; ratio ${
      routing.ratio.toFixed(2)
    }, wanted at least ${LEAST_ROUTED}\n`,
  );
  const samples: Sample[] = [];
  const failures = new Map<string, string>();
  for (const count of PRIMARIES) {
    await using primaries = await startPrimaries(count);
    const { url } = primaries.servers[0]!;
    for (let round = 0; round < rounds; round++) {
      const first = round % CONTESTANTS.length;
      const turn = [
        ...CONTESTANTS.slice(first),
        ...CONTESTANTS.slice(0, first),
      ];
      for (const { name, worker, rows } of turn) {
        for (const row of rows) {
          const job: ClusterJob = { row, url, warmUpMs: 300, measureMs };
          try {
            const { stdout } = await run([...worker, JSON.stringify(job)]);
            samples.push({
              round,
              row: `${row}, ${count}`,
              client: name,
              value: Number(stdout),
            });
          } catch (error) {
            failures.set(`${name}, ${row}`, String(error));
          }
        }
      }
    }
  }
  console.log(drawn(samples));
  console.log(
    `\nEvents a second, and the ratio to ours in the same rounds; ${navigator.hardwareConcurrency} cores for client and servers.`,
  );
  for (const [what, why] of failures) console.log(`- ${what}: ${why}`);
  return routing.ratio >= LEAST_ROUTED ? 0 : 1;
}

async function routingCost(): Promise<RoutingCost> {
  await using server = await startRedis();
  const job: RoutingJob = { url: server.url, rounds: ROUTING_ROUNDS };
  const worker = [...deno, ...imports, `${here}cluster/routing.ts`];
  const { stdout } = await run([...worker, JSON.stringify(job)], {
    timeoutMs: 60_000,
  });
  return JSON.parse(stdout) as RoutingCost;
}

function drawn(samples: readonly Sample[]): string {
  const names = CONTESTANTS.map(({ name }) => name);
  const lines = (["send", "record"] as const).flatMap((row) =>
    PRIMARIES.map((count) => [
      `${row === "send" ? "single ZADDs" : "record()"}, primaries: ${count}`,
      ...names.map((name) => cell(samples, `${row}, ${count}`, name)),
    ])
  );
  return markdown([["", ...names], ...lines]);
}

function cell(samples: readonly Sample[], row: string, name: string): string {
  const value = valueOf(samples, row, name);
  if (Number.isNaN(value)) return "";
  return name === "ours"
    ? shorten(value)
    : `${shorten(value)} · ${ratioOf(samples, row, name, "ours").toFixed(2)}`;
}
