// The clients on each runtime, and how each of them times a row or starts.
import { run } from "../../bench/process.ts";
import type { Job, Timing } from "../../bench/worker.ts";
import { bundled } from "../support/bundle.ts";
import { importFlags } from "../support/imports.ts";
import { findProgram, toolModules } from "../support/tools.ts";
import { Workerd } from "../support/workerd.ts";

const BENCH = new URL("../../bench/", import.meta.url);
const PROGRAMS = new URL("programs/", import.meta.url);
/** Where programs find the peers that bench/peers/package.json pins. */
const FOLDER = new URL("peers/node_modules/.runtimes/", BENCH).pathname;

/** A client on a runtime. */
export interface Contestant {
  /** `"deno"`, `"node"`, `"bun"` or `"workerd"`. */
  readonly runtime: string;
  readonly client: string;
  /** Times a row. */
  time(job: Job): Promise<number>;
  /** Starts it for one event, short of the URL; where it is compared. */
  readonly cold?: readonly string[] | undefined;
}

/** All that can run on this machine, with a line about each runtime that cannot. */
export async function contestants(
  keep: (resource: AsyncDisposable) => void,
  caCert: string,
): Promise<{ contestants: Contestant[]; absent: string[] }> {
  await Deno.mkdir(FOLDER, { recursive: true });
  const absent: string[] = [];
  const found: Contestant[] = [{
    runtime: "deno",
    client: "ours",
    time: byProcess([
      Deno.execPath(),
      ...["run", "--quiet", "-A", ...importFlags],
      new URL("clients/ours.ts", BENCH).pathname,
    ]),
  }];
  for (const runtime of ["node", "bun"] as const) {
    const program = await findProgram(runtime === "node" ? "node24" : "bun");
    if ("reason" in program) absent.push(`${runtime}: ${program.reason}`);
    else found.push(...await onProgram(runtime, program.path));
  }
  const workerd = await findProgram("workerd");
  if ("reason" in workerd) absent.push(`workerd: ${workerd.reason}`);
  else found.push(...await onWorkerd(keep, caCert));
  return { contestants: found, absent };
}

/** Ours and the peers on Node or Bun: a bundle each. */
async function onProgram(
  runtime: "node" | "bun",
  path: string,
): Promise<Contestant[]> {
  const of = async (
    client: string,
    worker: string,
    cold: URL | undefined,
  ): Promise<Contestant> => ({
    runtime,
    client,
    time: byProcess([path, await written(new URL(worker, BENCH))]),
    cold: cold && [path, await written(cold)],
  });
  const cold = (name: string) => new URL(`cold_${name}.ts`, PROGRAMS);
  return [
    await of("ours", "clients/ours.ts", cold("ours")),
    await of("ioredis", "peers/ioredis.ts", cold("ioredis")),
    await of("ioredis auto", "peers/ioredis_auto.ts", undefined),
    await of("node-redis", "peers/node_redis.ts", cold("node_redis")),
    ...runtime === "bun"
      ? [
        await of(
          "native",
          "peers/bun.ts",
          new URL("peers/bun_cold.ts", BENCH),
        ),
      ]
      : [],
    {
      runtime,
      client: "nothing",
      time: () => Promise.resolve(NaN),
      cold: [path, await written(cold("nothing"))],
    },
  ];
}

/** Ours, and ioredis by `nodejs_compat`, in a workerd each. */
async function onWorkerd(
  keep: (resource: AsyncDisposable) => void,
  caCert: string,
): Promise<Contestant[]> {
  const of = async (
    client: string,
    worker: { code: string } | { main: URL },
  ): Promise<Contestant> => {
    const workerd = await Workerd.start({
      workers: [{
        name: "bench",
        ...worker,
        flags: ["nodejs_compat"],
      }],
      caCert,
    });
    keep(workerd);
    return {
      runtime: "workerd",
      client,
      time: async (job) => (await workerd.call("/", job) as Timing).perSecond,
    };
  };
  return [
    await of("ours", { main: new URL("workerd_ours.ts", PROGRAMS) }),
    await of("ioredis", { code: await ioredisWorker() }),
  ];
}

const byProcess =
  (argv: readonly string[]) => async (job: Job): Promise<number> => {
    const { stdout } = await run([...argv, JSON.stringify(job)]);
    return (JSON.parse(stdout) as Timing).perSecond;
  };

/** The path of the bundle of a program. */
async function written(url: URL): Promise<string> {
  const path = FOLDER + url.pathname.split("/").at(-1)!.replace(/ts$/, "mjs");
  await Deno.writeTextFile(path, await bundled(url));
  return path;
}

/** The Worker with ioredis: esbuild takes in what is installed for the peers. */
async function ioredisWorker(): Promise<string> {
  const out = `${FOLDER}workerd_ioredis.mjs`;
  const program = await findProgram("esbuild");
  if ("reason" in program) throw new Error(program.reason);
  await run([
    program.path,
    new URL("workerd_ioredis.ts", PROGRAMS).pathname,
    ...["--bundle", "--format=esm", "--platform=node", `--outfile=${out}`],
    `--banner:js=import{createRequire}from"node:module";const require=createRequire("/");`,
    "--main-fields=browser,module,main", // debug has no tty there
    `--alias:ioredis=${new URL("peers/node_modules/ioredis", BENCH).pathname}`,
    "--log-level=error",
  ], { cwd: toolModules });
  return await Deno.readTextFile(out);
}
