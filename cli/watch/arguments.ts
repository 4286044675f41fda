// The command line of the watch.
import { readCommandLine, UsageError, wholeNumber } from "../command_line.ts";
import {
  TLS_HELP,
  TLS_OPTIONS,
  type TlsArguments,
  tlsArgumentsOf,
} from "../tls.ts";

/** The arguments of the watch. */
export interface WatchArguments extends TlsArguments {
  readonly help: boolean;
  readonly json: boolean;
  /** The file of the page; `undefined`: none is written. */
  readonly report: string | undefined;
  /** `undefined`: REDIS_URL. */
  readonly url: string | undefined;
  /** How many connections are kept idle. */
  readonly idle: number;
  /** How many connections are kept busy. */
  readonly busy: number;
  /** How often the busy ones are used, in milliseconds. */
  readonly everyMs: number;
  /** `Infinity`: until it is interrupted. */
  readonly forMs: number;
}

export const WATCH_HELP =
  `Keeps idle and busy connections to a server open, or to every primary of a
cluster. Of each one that ends it says how it ended, why, and what to do.

Usage: deno run --allow-net jsr:@unzombie/redis/verify watch --url URL [options]

  --url URL        the server, redis://… or rediss://… (default: REDIS_URL); with
                   ?cluster=true each primary of a cluster, with ?sentinel=NAME
                   the primary that Sentinels name
${TLS_HELP}
  --connections N  number of idle connections to each server, 0 to 1000
                   (default 8). The first is never used, the next ones once
                   every 1, 2, 5, 10, 20, 30 and 60 minutes, and so on in turn:
                   an idle limit closes those that rest for longer, and only
                   those
  --busy N         number of busy connections to each server, 0 to 1000
                   (default 2)
  --every MS       milliseconds from one PING of a busy connection to the next,
                   10 to 3600000 (default 1000)
  --minutes M      how long to watch, up to 30000 (default: until Ctrl-C)
  --json           print one JSON object per line, of the types start, open,
                   death, away, back, stalled, frozen and summary; of several
                   servers also nodes, and a start and a summary for each
  --report FILE    write an HTML page: a life line for each connection, causes,
                   idle times and settings to copy. It is written again while
                   the watch goes on. "verify report" makes it of JSON lines
  --help           print this

It sends PING, INFO, CONFIG GET and CLIENT LIST, after a silence SLOWLOG GET and
LATENCY LATEST, and writes nothing. A command that the server refuses is not
sent again. Connections that ended are opened again. A cluster is asked for its
servers (CLUSTER SLOTS) once a second; one whose hash slots have gone to others is
left, with that as the cause of what had ended. At Ctrl-C it sends a PING on the
idle connections, to see which are still open, and prints the summary. Progress
goes to standard error.

Permissions:
  for the server           --allow-net=HOST:PORT, of each server
  with REDIS_URL           also --allow-env=REDIS_URL
  with --ca, --cert, --key also --allow-read=FILE
  with --report            also --allow-read and --allow-write of its FOLDER

Exit code: 0 watched to the end, or until Ctrl-C; 1 the server could not be
reached at the start; 2 wrong arguments.`;

const MOST = 1000;
const MOST_EVERY_MS = 3_600_000;
const MOST_MINUTES = 30_000;
const SYNTAX = {
  flags: ["--json", "--help"],
  options: [
    ...["--url", "--connections", "--busy", "--every", "--minutes", "--report"],
    ...TLS_OPTIONS,
  ],
};

/**
 * @param args What follows `watch`.
 * @throws {UsageError} If an argument cannot be used.
 */
export function parseWatchArguments(args: readonly string[]): WatchArguments {
  const { flags, values } = readCommandLine(args, SYNTAX, 1);
  const number = (name: string, otherwise: number, range: [number, number]) =>
    wholeNumber(name, values.get(name) ?? `${otherwise}`, ...range);
  const idle = number("--connections", 8, [0, MOST]);
  const busy = number("--busy", 2, [0, MOST]);
  if (idle + busy === 0) {
    throw new UsageError(
      "Cannot use --connections 0 with --busy 0: there is nothing to watch",
    );
  }
  return {
    help: flags.has("--help"),
    json: flags.has("--json"),
    report: values.get("--report"),
    url: values.get("--url"),
    ...tlsArgumentsOf(values),
    idle,
    busy,
    everyMs: number("--every", 1000, [10, MOST_EVERY_MS]),
    forMs: durationOf(values.get("--minutes")),
  };
}

function durationOf(text: string | undefined): number {
  if (text === undefined) return Infinity;
  const minutes = Number(text);
  if (/^\d*\.?\d+$/.test(text) && minutes > 0 && minutes <= MOST_MINUTES) {
    return minutes * 60_000;
  }
  throw new UsageError(
    `Cannot use --minutes ${
      JSON.stringify(text)
    }: expected a number above 0, at most ${MOST_MINUTES}`,
  );
}
