// Reads the flags and options of a command line.

/** The command line cannot be used, or the server that it names. The message is written for the user. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The arguments that a command takes. */
export interface Syntax {
  /** Options without a value, such as `--json`. */
  readonly flags: readonly string[];
  /** Options with a value, such as `--url`. */
  readonly options: readonly string[];
  /** Subcommands, such as `watch`; read elsewhere, and listed in messages. */
  readonly commands?: readonly string[];
}

/** The arguments that were given. */
export interface CommandLine {
  readonly flags: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
}

/**
 * Reads the arguments of a command.
 *
 * @param args The arguments.
 * @param syntax Those that the command takes.
 * @param skipped How many arguments come before these on the command line.
 * @throws {UsageError} If an argument is not one of them, or lacks its value.
 */
export function readCommandLine(
  args: readonly string[],
  syntax: Syntax,
  skipped = 0,
): CommandLine {
  const { commands = [] } = syntax;
  const expected = [...commands, ...syntax.options, ...syntax.flags];
  const flags = new Set<string>();
  const values = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    // Messages do not repeat whole arguments: one of them may contain a password.
    const [written, inline] = split(args[i]!);
    const name = written === "-h" ? "--help" : written;
    if (syntax.flags.includes(name) && inline === undefined) flags.add(name);
    else if (syntax.options.includes(name)) {
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
      const why = syntax.flags.includes(name)
        ? "it takes no value"
        : `not an option, expected ${expected.join(", ")}; see --help`;
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

/**
 * The number that an option is set to.
 *
 * @throws {UsageError} If the text is not a whole number from `least` to `most`.
 */
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
