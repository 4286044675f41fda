// Colors and columns of a terminal.

const isColored = !Deno.noColor && Deno.stdout.isTerminal();
const paint = (code: number) => (text: string): string =>
  isColored ? `\x1b[${code}m${text}\x1b[0m` : text;

export const bold = paint(1);
export const red = paint(31);
export const green = paint(32);

/** Rows of equal length, aligned. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => widths[i] = Math.max(widths[i] ?? 0, cell.length));
  }
  return rows.map((row) =>
    `  ${row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ")}`.trimEnd()
  );
}

/** `1,000`. */
export const number = (n: number): string => n.toLocaleString("en-US");
