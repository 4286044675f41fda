// How text is laid out.

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

export function number(n: number): string {
  return n.toLocaleString("en-US");
}

export const count = (n: number, one: string, many = `${one}s`): string =>
  `${number(n)} ${n === 1 ? one : many}`;

/** `850 ms`, `1.2 s`, `350 s`, `5 min`, `2 h 5 min`. Limits are counted in seconds, so seconds go far. */
export function duration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 599_500 && ms % 60_000 !== 0) return `${Math.round(ms / 1000)} s`;
  const minutes = Math.round(ms / 60_000);
  if (minutes < 120) return `${minutes} min`;
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  return rest === 0 ? `${hours} h` : `${hours} h ${rest} min`;
}
