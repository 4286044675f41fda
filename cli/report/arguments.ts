// The command line of the report.
import { readCommandLine, UsageError } from "../command_line.ts";

/** The arguments of the report. */
export interface ReportArguments {
  readonly help: boolean;
  /** The file with the JSON lines. */
  readonly lines: string;
  /** The file of the page. */
  readonly out: string;
}

export const REPORT_HELP =
  `Makes a page of what a watch has printed: a life line for each connection,
deaths by moment and cause, idle times beside the public limits, and settings to
copy.

Usage: deno run -RW jsr:@unzombie/redis/verify report LINES.jsonl [options]

  LINES.jsonl  what "verify watch --json" has printed
  --out FILE   the page (default: LINES.html, beside the lines)
  --help       print this

The page is one file that asks nothing of the network. While it watches,
"verify watch --report FILE" writes the same page.

Exit code: 0 the page is written; 1 it could not be; 2 wrong arguments, or a
file that has no lines of a watch.`;

/**
 * @param args What follows `report`.
 * @throws {UsageError} If an argument cannot be used.
 */
export function parseReportArguments(args: readonly string[]): ReportArguments {
  const [first = ""] = args;
  const isNamed = first !== "" && !first.startsWith("-");
  const { flags, values } = readCommandLine(
    isNamed ? args.slice(1) : args,
    { flags: ["--help"], options: ["--out"] },
    isNamed ? 2 : 1,
  );
  const help = flags.has("--help");
  if (!isNamed && !help) {
    throw new UsageError(
      "Cannot make a report: expected the file of JSON lines; see report --help",
    );
  }
  const out = values.get("--out") ??
    `${first.replace(/\.[^./\\]*$/, "")}.html`;
  if (out === first) {
    throw new UsageError(
      `Cannot use --out ${out}: it is the file of JSON lines`,
    );
  }
  return { help, lines: first, out };
}
