// The command line of the proof.
import { readCommandLine, UsageError, wholeNumber } from "../command_line.ts";
import { GRANT, KEY_PREFIX } from "./preflight.ts";
import {
  TLS_HELP,
  TLS_OPTIONS,
  type TlsArguments,
  tlsArgumentsOf,
} from "../tls.ts";

/** How a connection is turned into a zombie. */
export type Method = "kill" | "shutdown";

/** The arguments of the proof. */
export interface Arguments extends TlsArguments {
  readonly help: boolean;
  readonly json: boolean;
  /** `undefined`: the server of REDIS_URL, or one that is started for the run. */
  readonly url: string | undefined;
  readonly requests: number;
  readonly method: "auto" | Method;
}

/** The permissions to start a server, on a system with its temporary files in /tmp. */
export const PERMISSIONS_TO_START = [
  "--allow-net=127.0.0.1",
  "--allow-env=REDIS_URL",
  "--allow-run=sh,redis-server",
  "--allow-read=/tmp",
  "--allow-write=/tmp",
];

/** {@linkcode GRANT} in lines that fit a terminal. */
function foldedGrant(): string {
  return GRANT.replace(/(.{1,70})(?: |$)/g, "  $1\n").trimEnd();
}

export const HELP =
  `Proves that connections closed by the server cost requests where there is no
retry, that the retry saves every request, and that no webhook event is lost.
Says why each connection was closed.

Usage: deno run --allow-net jsr:@unzombie/redis/verify --url URL [options]
       deno run --allow-net jsr:@unzombie/redis/verify watch --url URL [options]
                   keeps connections to a server open and says why each one
                   ends; see watch --help
       deno run -RW jsr:@unzombie/redis/verify report LINES.jsonl
                   makes an HTML page of what watch --json has printed; see
                   report --help

  --url URL        the server, redis://… or rediss://…; of a cluster one of its
                   nodes, of Sentinels the primary that they name
                   (default: REDIS_URL; if that is not set, redis-server or
                   valkey-server is started for the run)
  --requests N     requests in test 1, and in test 2, 1 to 1000 (default 5)
  --method METHOD  how a connection is turned into a zombie: kill (CLIENT KILL
                   ID), shutdown (of the socket), or auto: kill, or shutdown
                   where the server refuses CLIENT (default auto)
${TLS_HELP}
  --json           print one JSON document instead of text
  --help           print this

It touches only connections and keys of its own. The keys begin with
${KEY_PREFIX} and are deleted. An ACL user needs
${foldedGrant()}
and, to kill connections and to say why they ended, +client +info +config|get.

Permissions:
  for a server of yours    --allow-net=HOST:PORT
  with REDIS_URL           also --allow-env=REDIS_URL
  with --ca, --cert, --key also --allow-read=FILE
  to start a server        ${PERMISSIONS_TO_START.slice(0, 2).join(" ")}
                           ${PERMISSIONS_TO_START[2]}
                           ${PERMISSIONS_TO_START.slice(3).join(" ")}
                           (or valkey-server; or the directory of your
                           system for temporary files)

Exit code: 0 errors without retry, none with it, every event in Redis;
1 anything else; 2 wrong arguments, no server, or one that refuses what is
needed; 130 interrupted.`;

const MOST_REQUESTS = 1000;
const SYNTAX = {
  flags: ["--json", "--help"],
  options: ["--url", "--requests", "--method", ...TLS_OPTIONS],
  commands: ["watch", "report"],
};
const METHODS = ["auto", "kill", "shutdown"] as const;

/** @throws {UsageError} If an argument cannot be used. */
export function parseArguments(args: readonly string[]): Arguments {
  const { flags, values } = readCommandLine(args, SYNTAX);
  return {
    help: flags.has("--help"),
    json: flags.has("--json"),
    url: values.get("--url"),
    requests: wholeNumber(
      "--requests",
      values.get("--requests") ?? "5",
      1,
      MOST_REQUESTS,
    ),
    method: methodOf(values.get("--method") ?? "auto"),
    ...tlsArgumentsOf(values),
  };
}

function methodOf(text: string): Arguments["method"] {
  const method = METHODS.find((method) => method === text);
  if (method !== undefined) return method;
  throw new UsageError(
    `Cannot use --method ${JSON.stringify(text)}: expected one of ${
      METHODS.join(", ")
    }`,
  );
}
