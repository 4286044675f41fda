// Flags and options with values, and what is said of those that cannot be used.

/** The command line cannot be used, or no server can. Its text is all that the user needs. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What may stand on a command line. */
export interface Accepted {
  /** Stand alone, such as `--json`. */
  readonly flags: readonly string[];
  /** Take a value, such as `--url`. */
  readonly options: readonly string[];
  /** Stand first and alone, such as `watch`. */
  readonly commands?: readonly string[];
}

/** What stands there. */
export interface CommandLine {
  readonly flags: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
}

/**
 * @param skipped How many arguments stand before these.
 * @throws {UsageError} If an argument is not accepted.
 */
export function readCommandLine(
  args: readonly string[],
  { flags: FLAGS, options: OPTIONS, commands = [] }: Accepted,
  skipped = 0,
): CommandLine {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    // Arguments are not repeated whole: one of them may hold a password.
    const [written, inline] = split(args[i]!);
    const name = written === "-h" ? "--help" : written;
    if (FLAGS.includes(name) && inline === undefined) flags.add(name);
    else if (OPTIONS.includes(name)) {
      const value = inline ?? args[++i] ?? "";
      if (value === "" || inline === undefined && value.startsWith("--")) {
        throw new UsageError(`Cannot use ${name}: it needs a value`);
      }
      if (values.has(name)) {
        throw new UsageError(`Cannot use ${name}: it is given twice`);
      }
      values.set(name, value);
    } else {
      const what = /^--?[a-z-]+$/i.test(name)
        ? name
        : `argument ${skipped + i + 1}`;
      const why = FLAGS.includes(name)
        ? "it takes no value"
        : `not an option, expected ${
          [...commands, ...OPTIONS, ...FLAGS].join(", ")
        }; see --help`;
      throw new UsageError(`Cannot use ${what}: ${why}`);
    }
  }
  return { flags, values };
}

/** The name of an argument, and its value if it is written `--name=value`. */
function split(argument: string): [name: string, value?: string] {
  const at = argument.startsWith("--") ? argument.indexOf("=") : -1;
  return at < 0 ? [argument] : [argument.slice(0, at), argument.slice(at + 1)];
}

/** @throws {UsageError} If the text is no whole number from `least` to `most`. */
export function wholeNumber(
  name: string,
  text: string,
  least: number,
  most: number,
): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new UsageError(
    `Cannot use ${name} ${
      JSON.stringify(text)
    }: expected a whole number from ${least} to ${most}`,
  );
}
