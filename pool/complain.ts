// Where an exception goes that must not reach those who did nothing wrong.

/**
 * Prints what a callback has thrown.
 *
 * @param what Which callback, such as `"onIdle of a connection"`.
 * @param error What it threw.
 */
export function complain(what: string, error: unknown): void {
  try {
    console.error(`${what} has thrown:`, error);
  } catch {
    // It cannot even be printed.
  }
}
