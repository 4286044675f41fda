// Calls callbacks of the user so that an error in one costs no command and no event.
import { printException } from "../pool/connection/print_exception.ts";

/**
 * Calls a callback. An error that it throws, or that its promise rejects with,
 * goes to the console.
 *
 * @param name The callback's name, such as `"onClose of Redis"`.
 * @param fn The callback, if there is one.
 * @param what Its arguments.
 */
export function invokeSafely<What extends unknown[]>(
  name: string,
  fn: ((...what: What) => unknown) | undefined,
  ...what: What
): void {
  try {
    const result = fn?.(...what);
    if (result instanceof Promise) {
      result.catch((error) => printException(name, error));
    }
  } catch (error) {
    printException(name, error);
  }
}
