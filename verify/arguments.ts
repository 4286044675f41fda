// The command line of the proof.

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

/** The command line cannot be used, or no server can. Its text is all that the user needs. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export const HELP =
  `Shows that connections closed by the server cost requests, that the retry
saves them, and that no webhook event is lost.

Usage: deno run -A jsr:@unzombie/redis/verify [options]

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
const FLAGS = ["--json", "--help"] as const;
const OPTIONS = ["--url", "--requests", "--method", "--ca"] as const;
const METHODS = ["auto", "kill", "shutdown"] as const;

/** @throws {UsageError} If an argument cannot be used. */
export function parseArguments(args: readonly string[]): Arguments {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    // Arguments are not repeated whole: one of them may hold a password.
    const [name = "", inline] = split(args[i]!);
    if (isOneOf(FLAGS, name) && inline === undefined) flags.add(name);
    else if (isOneOf(OPTIONS, name)) {
      const value = inline ?? args[++i];
      if (value === undefined || value === "") {
        throw new UsageError(`Cannot use ${name}: it needs a value`);
      }
      values.set(name, value);
    } else {
      const what = /^--?[a-z-]+$/i.test(name) ? name : `argument ${i + 1}`;
      const why = isOneOf(FLAGS, name)
        ? "it takes no value"
        : `not an option, accepted are ${[...OPTIONS, ...FLAGS].join(", ")}`;
      throw new UsageError(`Cannot use ${what}: ${why}`);
    }
  }
  return {
    help: flags.has("--help"),
    json: flags.has("--json"),
    url: values.get("--url"),
    requests: requestsOf(values.get("--requests") ?? "5"),
    method: methodOf(values.get("--method") ?? "auto"),
    ca: values.get("--ca"),
  };
}

function split(argument: string): [string, string?] {
  const at = argument.startsWith("--") ? argument.indexOf("=") : -1;
  return at < 0 ? [argument] : [argument.slice(0, at), argument.slice(at + 1)];
}

function requestsOf(text: string): number {
  const requests = Number(text);
  if (/^\d+$/.test(text) && requests >= 1 && requests <= MOST_REQUESTS) {
    return requests;
  }
  throw new UsageError(
    `Cannot use --requests ${
      JSON.stringify(text)
    }: accepted is a whole number from 1 to ${MOST_REQUESTS}`,
  );
}

function methodOf(text: string): Arguments["method"] {
  if (isOneOf(METHODS, text)) return text;
  throw new UsageError(
    `Cannot use --method ${JSON.stringify(text)}: accepted are ${
      METHODS.join(", ")
    }`,
  );
}

const isOneOf = <T extends string>(
  list: readonly T[],
  text: string,
): text is T => (list as readonly string[]).includes(text);
