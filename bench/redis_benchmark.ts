// redis-benchmark: which of its own options do the work of a row.

import { run } from "./process.ts";
import { type Row, rows } from "./rows.ts";

const MEMBER = "9e3779b1-5eed-4000-8000-000000000000";
const ZADD = ["ZADD", "bench:zset", "1700000000", MEMBER];

/** The command of each row, its pipeline, and requests in a millisecond. */
const plans: Record<string, { args: string[]; perMs: number }> = {
  one: { args: ["-P", "1", ...ZADD], perMs: 12 },
  bursts: { args: ["-P", "1000", ...ZADD], perMs: 1000 },
  get: { args: ["-P", "1", "GET", "bench:bulk"], perMs: 1.5 },
  lrange: {
    args: ["-P", "1", "LRANGE", "bench:list", "0", "-1"],
    perMs: 0.5,
  },
};

/** Runs a row with redis-benchmark on one connection, for about `forMs`. */
export async function redisBenchmark(
  row: Row,
  prefix: string[],
  server: { port: number; tlsPort: number; caFile: string },
  forMs: number,
): Promise<number> {
  const plain = row.tls ? row.name.slice("tls-".length) : row.name;
  const { args, perMs } = plans[plain]!;
  const tls = row.tls ? ["--tls", "--cacert", server.caFile] : [];
  const port = row.tls ? server.tlsPort : server.port;
  const requests = Math.max(1000, Math.round(perMs * forMs / 1000) * 1000);
  const { stdout } = await run(
    [
      ...prefix,
      "redis-benchmark",
      "-h",
      "127.0.0.1",
      "-p",
      String(port),
      ...tls,
    ]
      .concat("-c", "1", "-n", String(requests), "--csv", ...args),
  );
  const line = stdout.trim().split("\n").at(-1)!;
  const perSecond = Number(/^".*?","([\d.]+)"/.exec(line)?.[1]);
  if (!(perSecond > 0)) throw new Error(`unexpected output: ${line}`);
  return perSecond * unitsOfRequest(plain);
}

/** `one` and `bursts` have several requests in a step, the others one. */
function unitsOfRequest(plain: string): number {
  if (plain === "one" || plain === "bursts") return 1;
  return rows.find(({ name }) => name === plain)!.units;
}
