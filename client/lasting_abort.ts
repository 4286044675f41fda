// An abort that many calls share, one after the other.
import { whenAborted } from "../pool/when_aborted.ts";

/**
 * An `AbortController` for many calls. Its signal is listened to from the
 * beginning: for calls that follow each other, to begin and to end that each
 * time would take 6 microseconds.
 */
export function lastingAbort(): AbortController {
  const controller = new AbortController();
  whenAborted(controller.signal, () => {});
  return controller;
}
