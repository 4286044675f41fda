// Prints an exception of a callback, so that it reaches no other caller.

/**
 * Prints what a callback has thrown. Never throws itself.
 *
 * @param what Which callback, such as `"onIdle of a connection"`.
 * @param error What it threw.
 */
export function printException(what: string, error: unknown): void {
  try {
    console.error(`${what} has thrown:`, error);
  } catch {
    // It cannot even be printed.
  }
}
