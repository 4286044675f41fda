// What a reply to CLUSTER SLOTS says: https://redis.io/docs/latest/commands/cluster-slots/
import {
  type Address,
  hostIn,
  isIp,
  isPort,
} from "../../pool/socket/address.ts";
import type { Reply } from "../../resp/types.ts";
import { HASH_SLOTS } from "./server.ts";

/** How the addresses in a reply become those that are dialed. */
export interface Naming {
  /** Whether servers are dialed over TLS, which needs the name in their certificate. */
  readonly isTls: boolean;
  /** Maps each address that a server names to the one that is dialed. */
  readonly mapAddress: (address: Address) => Address;
}

/** A server of the reply. */
export interface ListedServer {
  /** Where it is dialed. */
  readonly address: Address;
  /** Other addresses that a redirect may give it, mapped. */
  readonly aliases: readonly Address[];
  /** Its port, if the others do not know its host: a redirect to it says `?` and this port. */
  readonly unnamedPort: number | undefined;
}

/** A primary of the reply, and its replicas. */
export interface ListedShard {
  readonly primary: ListedServer;
  readonly replicas: readonly ListedServer[];
}

/** A range of hash slots, and what holds it: one object for all ranges of a primary. */
export interface ListedRange {
  readonly start: number;
  readonly end: number;
  readonly shard: ListedShard;
}

/**
 * Reads a reply to CLUSTER SLOTS. A range whose primary has no address that can
 * be dialed is left out, and so is a replica without one.
 *
 * @param reply The reply.
 * @param asked Where the server was dialed that it is from.
 * @param naming See {@linkcode Naming}.
 * @returns The ranges in the order of the reply; `undefined` if it is no such reply.
 */
export function rangesIn(
  reply: Reply,
  asked: Address,
  naming: Naming,
): ListedRange[] | undefined {
  // Longer ones do not come from a server, and would take long.
  if (!Array.isArray(reply) || reply.length > HASH_SLOTS) return undefined;
  const ranges: ListedRange[] = [];
  const shards = new Map<string, ListedShard | undefined>();
  for (const entry of reply) {
    if (!Array.isArray(entry)) return undefined;
    const [start, end, first, ...others] = entry;
    if (!isHashSlot(start) || !isHashSlot(end) || start > end) return undefined;
    // A server with many ranges is repeated in each of them.
    const name = Array.isArray(first) ? first.slice(0, 3).join(" ") : "";
    if (!shards.has(name)) {
      const primary = serverIn(first, asked, naming);
      const replicas = others.map((node) => serverIn(node, asked, naming))
        .filter((server) => server !== undefined);
      shards.set(name, primary && { primary, replicas });
    }
    const shard = shards.get(name);
    if (shard !== undefined) ranges.push({ start, end, shard });
  }
  return ranges;
}

const isHashSlot = (value: Reply | undefined): value is number =>
  Number.isInteger(value) && value as number >= 0 &&
  value as number < HASH_SLOTS;

/** A server in `[host, port, id, [name, value, ...]]`; before Redis 4 without the id, before Redis 7 without the names. */
function serverIn(
  node: Reply | undefined,
  asked: Address,
  { isTls, mapAddress }: Naming,
): ListedServer | undefined {
  if (!Array.isArray(node)) return undefined;
  const [preferred, listedPort, , more] = node;
  if (!isPort(listedPort)) return undefined;
  // Servers that have TLS alone say 0: https://github.com/redis/go-redis/issues/3726
  const port = listedPort || asked.port;
  const ip = valueIn(more, "ip");
  // No host: the network between hides it, or the server is alone and has not learned it.
  const isOfAsked = preferred === null || preferred === "";
  const isUnnamed = preferred === "?";
  const listed = isOfAsked
    ? asked.hostname
    : isUnnamed
    ? ip
    : hostIn(preferred);
  if (listed === undefined) return undefined;
  if (isOfAsked && listedPort === 0) {
    return { address: asked, aliases: [], unnamedPort: undefined };
  }
  const name = valueIn(more, "hostname");
  const hostname = isTls && name !== undefined && isIp(listed) && !isOfAsked
    ? name
    : listed;
  const others = [listed, isOfAsked ? undefined : ip].filter((other) =>
    other !== undefined && other !== hostname
  );
  return {
    address: mapAddress({ hostname, port }),
    aliases: others.flatMap((other) => {
      try {
        return mapAddress({ hostname: other!, port });
      } catch {
        return []; // it need not be one that can be reached
      }
    }),
    unnamedPort: isUnnamed ? port : undefined,
  };
}

/** The host behind a name in a list of names and values. */
function valueIn(list: Reply | undefined, name: string): string | undefined {
  if (!Array.isArray(list)) return undefined;
  for (let at = 0; at + 1 < list.length; at += 2) {
    if (list[at] === name) return hostIn(list[at + 1]);
  }
  return undefined;
}
