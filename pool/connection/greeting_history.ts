// How earlier greetings of an endpoint were answered.
import type { Endpoint } from "../socket/endpoint.ts";

/** What is known of greetings at an endpoint. Each handshake may add to it. */
export interface GreetingHistory {
  /** Whether HELLO was ever answered: then a close is not about HELLO. */
  answersHello: boolean;
  /** Until this, by `performance.now()`, AUTH and PING are all that is sent. */
  bareUntil: number;
  /** How often a greeting ended in a close that HELLO may have caused. */
  closes: number;
  /** Whether CLIENT SETINFO is sent: not after it was refused. */
  takesIntroduction: boolean;
}

/**
 * For so long HELLO and CLIENT are left out after a close that they may have
 * caused, in milliseconds, and for twice as long after each further one: it may
 * have had another cause.
 */
const BARE_MS = 60_000;
const BARE_DOUBLINGS = 10;

const histories = new WeakMap<Endpoint, GreetingHistory>();

/** The history of an endpoint, for as long as that very object is in use. */
export function greetingHistoryOf(endpoint: Endpoint): GreetingHistory {
  let history = histories.get(endpoint);
  if (history === undefined) {
    history = {
      answersHello: false,
      bareUntil: -Infinity,
      closes: 0,
      takesIntroduction: true,
    };
    histories.set(endpoint, history);
  }
  return history;
}

/** Whether to send AUTH and PING alone. */
export const isBare = ({ bareUntil }: GreetingHistory): boolean =>
  performance.now() < bareUntil;

/** Notes that the server closed during a greeting: because of a command that it does not know, or for another reason. */
export function noteClose(history: GreetingHistory, wasBare: boolean): void {
  if (wasBare || history.answersHello) {
    history.bareUntil = -Infinity;
    return;
  }
  history.bareUntil = performance.now() +
    BARE_MS * 2 ** Math.min(history.closes++, BARE_DOUBLINGS);
}
