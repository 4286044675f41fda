// What earlier TLS handshakes with an endpoint have shown.
import type { Endpoint } from "./endpoint.ts";

/** What is known of TLS at an endpoint. Each dial may add to it. */
export interface TlsHistory {
  /** Whether the last TLS handshake came to an end, good or bad. */
  answersTls: boolean;
  /** TLS handshakes that were given up: Deno keeps their sockets open. */
  stranded: number;
  /** TLS is begun once more not before this, by `performance.now()`. */
  tlsNotBefore: number;
}

const histories = new WeakMap<Endpoint, TlsHistory>();

/** The history of an endpoint, for as long as that very object is in use. */
export function tlsHistoryOf(endpoint: Endpoint): TlsHistory {
  let history = histories.get(endpoint);
  if (history === undefined) {
    history = { answersTls: false, stranded: 0, tlsNotBefore: -Infinity };
    histories.set(endpoint, history);
  }
  return history;
}
