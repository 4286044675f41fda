// What a server says about itself in the handshake.
import type { Reply } from "../../resp/types.ts";

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

/**
 * Why commands fail on a server of that mode, for their errors.
 *
 * @param identity What the server said of itself.
 * @returns The reason, or `undefined` for a plain server.
 */
export function modeHint({ mode }: Identity): string | undefined {
  if (mode === "cluster") {
    return "this server is a node of a cluster, which holds some of the keys, and database 0 alone";
  }
  if (mode === "sentinel") {
    return "this server is a Sentinel, which holds no keys: give the URL of the primary that it watches (SENTINEL GET-MASTER-ADDR-BY-NAME)";
  }
  return undefined;
}
