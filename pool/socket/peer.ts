// What earlier dials have learned of the peer at an endpoint.
import type { Endpoint } from "./endpoint.ts";

/** What is known of a peer. Each dial may add to it. */
export interface Peer {
  /** Whether the last TLS handshake came to an end, good or bad. */
  answersTls: boolean;
  /** TLS handshakes that were given up: Deno keeps their sockets open. */
  stranded: number;
  /** Not before this, by `performance.now()`, is TLS begun once more. */
  tlsNotBefore: number;
  /** Whether it has ever answered HELLO: then a close is not about that. */
  knowsHello: boolean;
  /** Until this, by `performance.now()`, it gets AUTH and PING alone. */
  bareUntil: number;
  /** How often it has closed on a command that it did not know. */
  closes: number;
  /** Whether it is told which library this is: not where it has refused that. */
  takesIntroduction: boolean;
}

/**
 * For so long a peer that closed on HELLO or CLIENT is spared both, and for
 * twice as long after each further time: it may have closed for another reason.
 */
const BARE_MS = 60_000;
const BARE_DOUBLINGS = 10;

const peers = new WeakMap<Endpoint, Peer>();

/** What is known of the peer at an endpoint, for as long as that endpoint is in use. */
export function peerOf(endpoint: Endpoint): Peer {
  let peer = peers.get(endpoint);
  if (peer === undefined) {
    peer = {
      answersTls: false,
      stranded: 0,
      tlsNotBefore: -Infinity,
      knowsHello: false,
      bareUntil: -Infinity,
      closes: 0,
      takesIntroduction: true,
    };
    peers.set(endpoint, peer);
  }
  return peer;
}

/** Whether the peer is to get AUTH and PING alone. */
export const greetsBarely = (peer: Peer): boolean =>
  performance.now() < peer.bareUntil;

/** The peer has closed during a greeting: on a command that it does not know, or for good. */
export function noteClose(peer: Peer, isBare: boolean): void {
  if (isBare || peer.knowsHello) {
    peer.bareUntil = -Infinity;
    return;
  }
  peer.bareUntil = performance.now() +
    BARE_MS * 2 ** Math.min(peer.closes++, BARE_DOUBLINGS);
}

/** The peer has answered HELLO. */
export function noteHello(peer: Peer): void {
  peer.knowsHello = true;
}
