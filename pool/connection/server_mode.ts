// What a server that is not a plain one lacks for a plain client.
import type { Identity } from "./identity.ts";

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
