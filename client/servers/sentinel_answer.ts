// What is asked of a Sentinel, and what its answer says.
import { ReplyError } from "../../resp/errors.ts";
import type { Command, Reply } from "../../resp/types.ts";
import {
  type Address,
  hostIn,
  textOfAddress,
} from "../../pool/socket/address.ts";

/** What a Sentinel says. */
export interface SentinelAnswer {
  /** Where the primary is. */
  readonly primary: Address;
  /**
   * Its configuration epoch: each failover has a higher one than that before. A
   * Sentinel that has not heard of a failover still answers the one before.
   * `undefined` if the user may not ask for it.
   */
  readonly epoch: number | undefined;
  /** The other Sentinels of this primary. */
  readonly others: readonly Address[];
}

/**
 * What is asked of a Sentinel, to be sent in one write.
 *
 * @param name The name of the primary in its configuration.
 * @see {@link https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#sentinel-api}
 */
export const questionsFor = (name: string): Command[] => [
  ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name],
  ["SENTINEL", "SENTINELS", name],
  ["SENTINEL", "MASTER", name],
];

/** The most of other Sentinels that are taken from an answer: a deployment has 3 or 5. */
const MAX_OTHERS = 50;

/**
 * Reads the replies to {@linkcode questionsFor}.
 *
 * @param replies The replies, in order.
 * @returns What they say, or `undefined` if the Sentinel has no primary of that name.
 * @throws {ReplyError} If the Sentinel refuses to answer.
 * @throws {Error} If the first reply is no address.
 */
export function answerOf(
  [address, others, primary]: readonly Reply[],
): SentinelAnswer | undefined {
  if (address === null) return undefined;
  if (address instanceof ReplyError) throw address;
  const [hostname, port] = Array.isArray(address) ? address : [];
  const found = addressOf(hostname, port);
  if (found === undefined) {
    throw new Error("its answer is no address of a primary");
  }
  const epoch = Number(entriesOf(primary).get("config-epoch"));
  return {
    primary: found,
    epoch: Number.isSafeInteger(epoch) ? epoch : undefined,
    others: (Array.isArray(others) ? others : []).slice(0, MAX_OTHERS)
      .map((other) => {
        const entries = entriesOf(other);
        return addressOf(entries.get("ip"), entries.get("port"));
      })
      .filter((other) => other !== undefined),
  };
}

/**
 * An answer in words, as evidence that another server has taken over.
 *
 * @param primary Where the primary is now.
 * @param name The name of the primary in the configuration of the Sentinels.
 */
export const takeoverEvidence = (primary: Address, name: string): string =>
  `Sentinel names ${textOfAddress(primary)} as the primary of ${name}`;

/** The names and values of a flat list. */
function entriesOf(reply: Reply | undefined): Map<Reply, Reply> {
  const entries = new Map<Reply, Reply>();
  if (!Array.isArray(reply)) return entries;
  for (let i = 0; i + 1 < reply.length; i += 2) {
    entries.set(reply[i]!, reply[i + 1]!);
  }
  return entries;
}

function addressOf(
  host: Reply | undefined,
  port: Reply | undefined,
): Address | undefined {
  // A Sentinel with `resolve-hostnames` answers an empty host for a name that it cannot resolve.
  const hostname = hostIn(host);
  if (hostname === undefined) return undefined;
  const number = typeof port === "string" && /^\d{1,5}$/.test(port)
    ? Number(port)
    : 0;
  return number >= 1 && number <= 65535
    ? { hostname, port: number }
    : undefined;
}
