// Table: how results look in print, as Markdown.

import { ratioOf, type Sample, valueOf } from "./results.ts";

/** A row's name, title and unit. */
export interface Heading {
  name: string;
  title: string;
  unit: string;
}

/** One line for each row, one column for each client; ratios are to the floor. */
export function table(
  headings: readonly Heading[],
  clients: readonly string[],
  samples: readonly Sample[],
): string {
  const lines = headings.map(({ name, title, unit }) => {
    const cells = clients.map((client) => cell(samples, name, client));
    return [`${title}, ${unit}`, ...cells];
  });
  return markdown([["", ...clients], ...lines]);
}

function cell(
  samples: readonly Sample[],
  row: string,
  client: string,
): string {
  const value = valueOf(samples, row, client);
  if (Number.isNaN(value)) return "";
  const ratio = ratioOf(samples, row, client, "floor");
  return client === "floor" || Number.isNaN(ratio)
    ? shorten(value)
    : `${shorten(value)} · ${ratio.toFixed(2)}`;
}

/** Three digits and a letter: 13.6k, 1.25M. */
export function shorten(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)}M`;
  if (value >= 1e5) return `${(value / 1e3).toFixed(0)}k`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}

/** Cells as a Markdown table, padded so that it reads in a terminal too. */
export function markdown(lines: readonly string[][]): string {
  const [head, ...body] = lines;
  const widths = head!.map((_, column) =>
    Math.max(3, ...lines.map((line) => (line[column] ?? "").length))
  );
  const draw = (line: string[]) =>
    `| ${line.map((c, n) => pad(c, widths[n]!, n)).join(" | ")} |`;
  const rule = widths.map((width, n) =>
    n === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`
  );
  return [draw(head!), draw(rule), ...body.map(draw)].join("\n");
}

function pad(text: string, width: number, column: number): string {
  return column === 0 ? text.padEnd(width) : text.padStart(width);
}
