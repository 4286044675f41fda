// Callbacks of users, whose mistakes must not cost a command or an event.
import { complain } from "../pool/complain.ts";

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
  try {
    const told = fn?.(...what);
    if (told instanceof Promise) told.catch((error) => complain(name, error));
  } catch (error) {
    complain(name, error);
  }
}
