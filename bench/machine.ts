// Machine: what the numbers were measured on.

import { run } from "./process.ts";
import { pinned } from "./contestants.ts";

/** Names and versions, as they stand in the header. */
export type Machine = Record<string, string>;

/** Asks the system, the server and the pins what they are. */
export async function describeMachine(redisInfo: string): Promise<Machine> {
  const peers = await pinned();
  return {
    date: new Date().toISOString().slice(0, 16).replace("T", " ") + " UTC",
    machine: `${await cpu()}, ${navigator.hardwareConcurrency} cores, ` +
      `${Math.round(Deno.systemMemoryInfo().total / 2 ** 30)} GiB`,
    kernel: `${Deno.build.os} ${Deno.osRelease()}`,
    deno: Deno.version.deno,
    redis: /redis_version:(\S+)/.exec(redisInfo)?.[1] ?? "unknown",
    ours: await ourVersion(),
    ioredis: peers["ioredis"] ?? "",
    "node-redis": peers["redis"] ?? "",
    bun: peers["bun"] ?? "",
    "rate-limiter-flexible": peers["rate-limiter-flexible"] ?? "",
    "@upstash/ratelimit": peers["@upstash/ratelimit"] ?? "",
  };
}

async function cpu(): Promise<string> {
  try {
    const text = await Deno.readTextFile("/proc/cpuinfo");
    return /model name\s*: (.*)/.exec(text)?.[1] ?? Deno.build.arch;
  } catch {
    return Deno.build.arch;
  }
}

async function ourVersion(): Promise<string> {
  const root = new URL("../", import.meta.url);
  const { version } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", root)),
  );
  try {
    const git = ["git", "-C", root.pathname, "rev-parse", "--short", "HEAD"];
    return `${version} (${(await run(git)).stdout.trim()})`;
  } catch {
    return version;
  }
}
