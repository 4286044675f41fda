// What earlier dials have learned of the peer at an endpoint.
import type { Endpoint } from "./endpoint.ts";

/** How a peer is greeted: as Redis 6 and later, as an older one, or with AUTH and PING alone. */
export type Greeting = "hello" | "bare";

/** What is known of a peer. Each dial may add to it. */
export interface Peer {
  /** Whether the last TLS handshake came to an end, good or bad. */
  answersTls: boolean;
  /** TLS handshakes that were given up: Deno keeps their sockets open. */
  stranded: number;
  /** Not before this, by `performance.now()`, is TLS begun once more. */
  tlsNotBefore: number;
  /** How the next dial greets it. */
  greeting: Greeting;
  /** How often in a row it closed on HELLO and took the bare greeting. */
  closedOnHello: number;
  /** Whether it is told which library this is: not where it has refused that. */
  takesIntroduction: boolean;
}

const peers = new WeakMap<Endpoint, Peer>();

/** What is known of the peer at an endpoint, for as long as that endpoint is in use. */
export function peerOf(endpoint: Endpoint): Peer {
  let peer = peers.get(endpoint);
  if (peer === undefined) {
    peer = {
      answersTls: false,
      stranded: 0,
      tlsNotBefore: -Infinity,
      greeting: "hello",
      closedOnHello: 0,
      takesIntroduction: true,
    };
    peers.set(endpoint, peer);
  }
  return peer;
}
