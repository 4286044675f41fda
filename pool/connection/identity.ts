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
  /** Whether the client is one of the whole cluster, so that a node of it is no surprise. */
  readonly isOfCluster?: true;
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
export function modeHint({ mode, isOfCluster }: Identity): string | undefined {
  if (mode === "cluster" && !isOfCluster) {
    return "this server is a node of a cluster, which holds some of the keys, and database 0 alone: add ?cluster=true to the URL";
  }
  if (mode === "sentinel" && isOfCluster) {
    return "this server is a Sentinel, which holds no keys: use ?sentinel=name instead of ?cluster=true, with the name of the primary that it watches (SENTINEL MASTERS)";
  }
  if (mode === "sentinel") {
    return "this server is a Sentinel, which holds no keys: add ?sentinel=name to the URL, with the name of the primary that it watches (SENTINEL MASTERS)";
  }
  return undefined;
}
