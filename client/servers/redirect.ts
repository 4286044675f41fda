// Where an error reply sends a command instead: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#redirection-and-resharding
import type { ReplyError } from "../../resp/errors.ts";
import { HASH_SLOTS } from "./server.ts";
import { addressIn } from "../../pool/socket/address.ts";

/** What MOVED or ASK says. The command that it answers was not run. */
export interface Redirect {
  /** `"moved"`: the hash slot is there from now on; `"ask"`: this attempt alone goes there, behind an ASKING. */
  readonly kind: "moved" | "ask";
  /** 0 to 16383. */
  readonly hashSlot: number;
  /** As the server wrote it: `""` is its own host, `"?"` a host that it does not know. IPv6 without brackets. */
  readonly hostname: string;
  /** As the server wrote it: 0 is its own port. */
  readonly port: number;
}

const REDIRECT = /^(MOVED|ASK) (0|[1-9]\d{0,4}) (\S+)$/;

/**
 * The redirect that an error reply is.
 *
 * @param error The error reply, with the text as the server wrote it.
 * @returns `undefined` for every other error, and where one of its parts makes no sense.
 */
export function redirectOf(
  { message }: Pick<ReplyError, "message">,
): Redirect | undefined {
  const [, code, hashSlot, place] = REDIRECT.exec(message) ?? [];
  if (code === undefined || Number(hashSlot) >= HASH_SLOTS) return undefined;
  const address = addressIn(place!);
  return address && {
    kind: code === "MOVED" ? "moved" : "ask",
    hashSlot: Number(hashSlot),
    hostname: address.hostname,
    port: address.port,
  };
}
