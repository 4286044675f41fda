// What the charts are drawn from: the figures of a run, as they are committed beside the pictures.
import type { Machine } from "../machine.ts";
import { ratioOf, type Sample, valueOf } from "../results.ts";
import { rows } from "../rows.ts";

/** Speeds of one run of `./dev bench`. */
export interface Speeds {
  /** What has made the figures. */
  readonly command: string;
  readonly machine: Machine;
  readonly speeds: readonly Speed[];
}

/** How fast a client was in a row. */
export interface Speed {
  readonly row: string;
  readonly title: string;
  readonly client: string;
  /** In the unit of the row, a second. */
  readonly value: number;
  /** To a raw socket, in the same rounds. */
  readonly ratio: number;
}

/** Losses of runs of `./dev peers`. */
export interface Faults {
  readonly commands: readonly string[];
  readonly machine: Machine;
  readonly losses: readonly Loss[];
}

/** What a client lost under a fault. */
export interface Loss {
  /** One server, or several. */
  readonly on: "one server" | "cluster or Sentinel";
  readonly fault: string;
  /** What was broken, in words. */
  readonly what: string;
  readonly client: string;
  readonly events: number;
  /** Events that are not in Redis in the end. */
  readonly lost: number;
  /** Commands that ran twice. */
  readonly doubled: number;
  /** Calls without an outcome. */
  readonly hung: number;
}

/** The clients that are drawn, by their names in the bench. */
const DRAWN: Readonly<Record<string, string>> = {
  "ours": "this client",
  "ioredis": "ioredis",
  "ioredis auto": "ioredis, auto-pipelining",
  "node-redis": "node-redis",
  "bun": "Bun",
};

/** The name of a client in a picture. */
export const nameOf = (client: string): string => DRAWN[client] ?? client;

/** The file that `./dev bench` writes. */
export interface Results {
  readonly machine: Machine;
  readonly samples: readonly Sample[];
}

/** The ratios of a run to a raw socket: rows that it has none for are left out. */
export function speedsOf(
  { machine, samples }: Results,
  command: string,
): Speeds {
  const speeds = rows.flatMap(({ name: row, title }) =>
    Object.keys(DRAWN).map((client) => ({
      ...{ row, title, client },
      value: rounded(valueOf(samples, row, client)),
      ratio: rounded(ratioOf(samples, row, client, "floor")),
    }))
  ).filter(({ ratio }) => !Number.isNaN(ratio));
  return { command, machine, speeds };
}

const rounded = (n: number): number => Number(n.toPrecision(4));

/** The file that `./dev peers --json` writes. */
export interface PeerRun {
  readonly machine: Machine;
  readonly command: string;
  readonly rows: readonly (Omit<Loss, "on"> & { readonly isRouted: boolean })[];
}

/** The losses of several runs. */
export const faultsOf = (runs: readonly PeerRun[]): Faults => ({
  commands: runs.map(({ command }) => command),
  machine: runs[0]!.machine,
  losses: runs.flatMap(({ rows }) =>
    rows.map((
      { isRouted, fault, what, client, events, lost, doubled, hung },
    ) => ({
      on: isRouted ? "cluster or Sentinel" as const : "one server" as const,
      ...{ fault, what, client, events, lost, doubled, hung },
    }))
  ),
});
