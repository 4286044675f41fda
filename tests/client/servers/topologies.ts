// Topologies for tests, read from replies to CLUSTER SLOTS.
import { assert } from "@std/assert";
import type { Naming } from "../../../client/servers/cluster_slots.ts";
import { Topology } from "../../../client/servers/topology.ts";
import type { Address } from "../../../pool/socket/address.ts";
import type { Reply } from "../../../resp/types.ts";

/** The naming of a cluster without TLS whose servers are reached where they say. */
export const PLAIN: Naming = {
  isTls: false,
  mapAddress: (address) => address,
};
/** Where the server was dialed whose reply is read. */
export const ASKED: Address = { hostname: "asked.example", port: 7000 };

export const at = (port: number, hostname = "h"): Address => ({
  hostname,
  port,
});

/** The topology in a reply. */
export function read(reply: Reply, naming = PLAIN, asked = ASKED): Topology {
  const topology = Topology.from(reply, asked, naming);
  assert(topology !== undefined);
  return topology;
}

/** Three primaries, 7001 to 7003, each with a replica, 7004 to 7006. */
export const threeByThree = (): Topology =>
  read([
    [0, 5460, ["h", 7001, "1", []], ["h", 7004, "4", []]],
    [5461, 10922, ["h", 7002, "2", []], ["h", 7005, "5", []]],
    [10923, 16383, ["h", 7003, "3", []], ["h", 7006, "6", []]],
  ]);
