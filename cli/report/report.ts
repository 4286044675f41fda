// Makes a page of the JSON lines of a watch.
import { UsageError } from "../command_line.ts";
import type { WatchEvent } from "../watch/json_lines.ts";
import type { ReportArguments } from "./arguments.ts";
import { Night } from "./night.ts";
import { page } from "./page.ts";
import { checkWritable, writePage } from "./report_file.ts";

/**
 * Reads the lines, and writes the page.
 *
 * @returns What it has read that is not an event, in words.
 * @throws {UsageError} If the lines cannot be used, or the page cannot be written.
 */
export async function report(
  { lines, out }: Pick<ReportArguments, "lines" | "out">,
): Promise<string[]> {
  const night = new Night();
  const ignored: number[] = [];
  let number = 0;
  for await (const line of linesOf(lines)) {
    number++;
    if (line.trim() === "") continue;
    const event = eventOf(line);
    if (event === undefined) ignored.push(number);
    else night.add(event);
  }
  if (!night.hasBegun) {
    throw new UsageError(
      `Cannot use ${lines}: it has no start event, expected what "verify watch --json" prints`,
    );
  }
  await checkWritable(out);
  await writePage(out, page(night));
  return ignored.length === 0 ? [] : [
    `${ignored.length} of ${number} lines are no events of a watch and were left out, the first is line ${
      ignored[0]
    }`,
  ];
}

/** The lines of a file. */
async function* linesOf(path: string): AsyncGenerator<string> {
  let text = "";
  try {
    using file = await Deno.open(path);
    for await (
      const chunk of file.readable.pipeThrough(new TextDecoderStream())
    ) {
      const lines = `${text}${chunk}`.split("\n");
      text = lines.pop()!;
      yield* lines;
    }
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${(error as Error).message}`);
  }
  if (text !== "") yield text;
}

/** The event of a line; `undefined` if there is none, as in a line that was cut. */
function eventOf(line: string): WatchEvent | undefined {
  try {
    const event: unknown = JSON.parse(line);
    return isEvent(event) ? event : undefined;
  } catch {
    return undefined;
  }
}

/** What an event must have to be drawn, by its type. */
const FIELDS: Readonly<Record<WatchEvent["type"], readonly string[]>> = {
  nodes: ["of", "nodes", "changes"],
  start: ["endpoint", "tls", "connections"],
  open: ["node", "slot", "connection"],
  death: [
    ...["node", "event", "connection", "role", "usedEveryMs", "idleMs"],
    ...["ageMs", "how", "during", "cause", "confidence", "evidence"],
    ...["outcome", "refused", "frozenMs"],
  ],
  away: ["node", "reason"],
  back: ["node", "afterMs"],
  stalled: ["node", "forMs"],
  frozen: ["forMs"],
  summary: ["endpoint", "longestIdleMs"],
};

function isEvent(event: unknown): event is WatchEvent {
  if (typeof event !== "object" || event === null) return false;
  const { type, at } = event as Record<string, unknown>;
  const fields = FIELDS[type as WatchEvent["type"]];
  return fields !== undefined && !Number.isNaN(Date.parse(`${at}`)) &&
    fields.every((field) => field in event);
}
