// The log: a line of JSON for each entry.

/** Writes a line: errors to the standard error, everything else to the standard output. */
export function log(
  level: "info" | "error",
  message: string,
  more: Record<string, unknown> = {},
): void {
  const time = new Date().toISOString();
  const line = JSON.stringify({ time, level, message, ...more });
  if (level === "error") console.error(line);
  else console.log(line);
}

/** The message of an error. */
export const textOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
