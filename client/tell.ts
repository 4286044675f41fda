// Callbacks of users, whose mistakes must not cost a command or an event.

/**
 * Tells whoever wants to know. What goes wrong there, at once or in a promise,
 * goes to the console.
 *
 * @param name The callback's name, such as `"onClose of Redis"`.
 * @param fn The callback, if there is one.
 * @param what What it is told.
 */
export function tell<What extends unknown[]>(
  name: string,
  fn: ((...what: What) => unknown) | undefined,
  ...what: What
): void {
  const complain = (error: unknown) => {
    try {
      console.error(`${name} has thrown:`, error);
    } catch {
      // It cannot even be printed.
    }
  };
  try {
    const told = fn?.(...what);
    if (told instanceof Promise) told.catch(complain);
  } catch (error) {
    complain(error);
  }
}
