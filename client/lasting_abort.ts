// An abort that many calls share, one after another.
import { whenAborted } from "../pool/when_aborted.ts";

/**
 * An `AbortController` for many calls. Its signal has a listener from the
 * beginning: to add the first one and remove the last one again costs 6
 * microseconds, which calls that follow each other would pay each time.
 */
export function lastingAbort(): AbortController {
  const controller = new AbortController();
  whenAborted(controller.signal, () => {});
  return controller;
}
