// Contestants: the clients that are compared, in which rows, and how each is started.

import { run } from "./process.ts";

/** One column of the table. */
export interface Contestant {
  name: string;
  /** The rows that it leaves out. */
  without: string[];
  /** How to start its worker, short of the job. */
  worker?: string[];
  /** How to start its cold-start program, short of the URL. */
  cold?: string[];
  /** Whether ours has to beat it. */
  peer: boolean;
}

const here = new URL(".", import.meta.url).pathname;
const imports = (Deno.env.get("IMPORTS") ?? "").split(" ").filter(Boolean);
const deno = [Deno.execPath(), "run", "--quiet", "-A"];

const NOT_OWN = ["one", "callers", "accent", "bursts", "get-text", "lrange"]
  .concat("tls-one", "tls-callers", "tls-bursts", "events", "record")
  .concat("cold-time", "cold-memory");
const UNBARED = [
  "accent",
  "get-text",
  "lrange",
  "tls-one",
  "tls-callers",
  "tls-bursts",
]
  .concat("tls-get", "events", "record", "cold-time", "cold-memory");

/** The versions that `peers/package.json` pins. */
export async function pinned(): Promise<Record<string, string>> {
  const text = await Deno.readTextFile(`${here}peers/package.json`);
  return JSON.parse(text).dependencies;
}

/** The contestants that can run on this machine, with a line about each that cannot. */
export async function findContestants(): Promise<{
  contestants: Contestant[];
  absent: string[];
}> {
  const absent: string[] = [];
  const contestants: Contestant[] = [
    onDeno("floor", "clients/floor.ts", "cold/floor.ts", []),
    onDeno("ours", "clients/ours.ts", "cold/ours.ts", []),
    onDeno("ours bare", "clients/ours_bare.ts", "cold/ours.ts", UNBARED),
  ];
  contestants.push({
    name: "floor own",
    without: NOT_OWN,
    worker: [...deno, `${here}clients/floor.ts`, "own"],
    peer: false,
  });
  await install(absent);
  const peers = [
    { name: "ioredis", library: "ioredis", file: "ioredis" },
    { name: "ioredis auto", library: "ioredis", file: "ioredis_auto" },
    { name: "node-redis", library: "redis", file: "node_redis" },
  ];
  for (const { name, library, file } of peers) {
    if (!await exists(`${here}peers/node_modules/${library}`)) {
      absent.push(`${name}: it could not be installed`);
      continue;
    }
    const cold = library === "ioredis" ? "ioredis" : file;
    const without = file === "ioredis_auto"
      ? ["record", "cold-time", "cold-memory"]
      : ["record"];
    contestants.push({
      name,
      without,
      worker: [...deno, `${here}peers/${file}.ts`],
      cold: [...deno, `${here}peers/${cold}_cold.ts`],
      peer: true,
    });
  }
  const bun = await findBun();
  if (bun === undefined) {
    absent.push("bun: its binary could not be installed");
  } else {
    contestants.push({
      name: "bun",
      without: ["record"],
      worker: [bun, `${here}peers/bun.ts`],
      cold: [bun, `${here}peers/bun_cold.ts`],
      peer: true,
    });
  }
  try {
    await run(["redis-benchmark", "--version"]);
    contestants.push({
      name: "redis-benchmark",
      without: [
        "callers",
        "accent",
        "tls-callers",
        "get-text",
        "events",
        "record",
      ]
        .concat("cold-time", "cold-memory"),
      peer: false,
    });
  } catch {
    absent.push("redis-benchmark: it is not on PATH");
  }
  return { contestants, absent };
}

function onDeno(
  name: string,
  worker: string,
  cold: string,
  without: string[],
): Contestant {
  return {
    name,
    without,
    worker: [...deno, ...imports, here + worker],
    cold: [...deno, ...imports, here + cold],
    peer: false,
  };
}

/** Installs the peers beside their programs, unless they are there. */
async function install(absent: string[]): Promise<void> {
  const cwd = `${here}peers`;
  const there = Object.keys(await pinned()).map((name) =>
    exists(`${cwd}/node_modules/${name}`)
  );
  if ((await Promise.all(there)).every(Boolean)) return;
  console.error("bench: installing the peers into bench/peers/node_modules");
  const npm = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"];
  const ways = [
    [...npm, "--no-package-lock"],
    [Deno.execPath(), "install", "--quiet", "--no-lock"],
  ];
  for (const way of ways) {
    try {
      await run(way, { cwd, timeoutMs: 180_000 });
      return;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      absent.push(`${way[0] === "npm" ? "npm" : "deno"} install: ${why}`);
    }
  }
}

/** The npm package `bun` brings its binary in a package for each platform. */
async function findBun(): Promise<string | undefined> {
  const folder = `${here}peers/node_modules/@oven`;
  try {
    for await (const { name } of Deno.readDir(folder)) {
      const binary = `${folder}/${name}/bin/bun`;
      try {
        await run([binary, "--version"]);
        return binary;
      } catch {
        // A package for another platform or C library.
      }
    }
  } catch {
    // Not installed.
  }
  return undefined;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}
