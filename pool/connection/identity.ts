// What a server says about itself in the handshake.
import type { Reply } from "../../resp/mod.ts";

/** What the server said about itself and this connection in the handshake. */
export interface Identity {
  /** CLIENT ID. */
  readonly clientId?: number;
  /** The server's version. */
  readonly version?: string;
  /** `"standalone"`, `"cluster"` or `"sentinel"`. */
  readonly mode?: string;
  /** `"master"` or `"replica"`. */
  readonly role?: string;
  /** What did not fail the handshake but may surprise, such as a password that the server does not ask for. */
  readonly note?: string;
}

/** The identity in a reply to HELLO: in RESP2 a flat list of names and values. */
export function identityOf(hello: Reply | undefined): Identity {
  if (!Array.isArray(hello)) return {};
  const values = new Map<Reply, Reply>();
  for (let i = 0; i + 1 < hello.length; i += 2) {
    values.set(hello[i]!, hello[i + 1]!);
  }
  const clientId = values.get("id");
  const texts = Object.fromEntries(
    ["version", "mode", "role"].map((name) => [name, values.get(name)])
      .filter(([, value]) => typeof value === "string"),
  );
  return { ...texts, ...(typeof clientId === "number" ? { clientId } : {}) };
}
