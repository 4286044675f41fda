// The command line of the proof.
import { readCommandLine, UsageError, wholeNumber } from "./command_line.ts";

/** How a connection is made a zombie. */
export type Method = "kill" | "shutdown";

/** What was asked for. */
export interface Arguments {
  readonly help: boolean;
  readonly json: boolean;
  /** `undefined`: REDIS_URL, or a server of its own. */
  readonly url: string | undefined;
  readonly requests: number;
  readonly method: "auto" | Method;
  /** A file with the certificates of authorities to trust. */
  readonly ca: string | undefined;
}

export const HELP =
  `Shows that connections closed by the server cost requests, why each was
closed, that the retry saves the requests, and that no webhook event is lost.

Usage: deno run -A jsr:@unzombie/redis/verify [options]
       deno run -A jsr:@unzombie/redis/verify watch [options]
                   keeps connections open on a server and says why each one
                   ends: see watch --help

  --url URL        the server, redis://… or rediss://…
                   (default: REDIS_URL, else a redis-server or valkey-server
                   is started for the run)
  --requests N     requests of test 1 and of test 2, 1 to 1000 (default 5)
  --method METHOD  how a connection is made a zombie: kill (CLIENT KILL ID),
                   shutdown (of the socket), or auto: kill, or shutdown where
                   the server refuses CLIENT (default auto)
  --ca FILE        certificates of authorities to trust, as PEM, for rediss://
  --json           print one JSON document instead of text
  --help           print this

Only connections and keys of its own are touched, and the keys are deleted.
Permissions: --allow-net, with REDIS_URL --allow-env=REDIS_URL, with --ca
--allow-read; -A to start a server.

Exit code: 0 errors without retry, none with it, every event in Redis;
1 anything else; 2 bad usage, or no server.`;

const MOST_REQUESTS = 1000;
const ACCEPTED = {
  flags: ["--json", "--help"],
  options: ["--url", "--requests", "--method", "--ca"],
  commands: ["watch"],
};
const METHODS = ["auto", "kill", "shutdown"] as const;

/** @throws {UsageError} If an argument cannot be used. */
export function parseArguments(args: readonly string[]): Arguments {
  const { flags, values } = readCommandLine(args, ACCEPTED);
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
    ca: values.get("--ca"),
  };
}

function methodOf(text: string): Arguments["method"] {
  const method = METHODS.find((method) => method === text);
  if (method !== undefined) return method;
  throw new UsageError(
    `Cannot use --method ${JSON.stringify(text)}: accepted are ${
      METHODS.join(", ")
    }`,
  );
}
