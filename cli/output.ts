// Where a command prints: its report to standard output, progress and warnings to standard error.

/** Receives the lines of a command while it runs. */
export interface Output {
  /** Prints lines of the report. */
  print(lines: readonly string[]): void;
  /** Shows what is going on now, in place of what was shown before. */
  progress(what: string): void;
  /** Whether `progress` is seen at all: on a terminal. */
  readonly isLive: boolean;
  /** Prints a line beside the report. */
  note(what: string): void;
  /** Says that something went wrong which the report does not show. */
  warn(what: string): void;
}

const isLive = Deno.stderr.isTerminal();

/** The standard streams of this process. */
export const STANDARD_STREAMS: Output = {
  print: (lines) => console.log(lines.join("\n")),
  progress(what) {
    if (!isLive) return;
    Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${what}`));
  },
  isLive,
  note: (what) => console.error(what),
  warn: (what) => console.error(`verify: ${what}`),
};
