// Which servers there are to watch: a cluster, or Sentinels that name a primary.
import type { Redis, RedisNode } from "../../mod.ts";
import type { Takeover } from "../../client/servers/takeovers.ts";
import { takeoverEvidence } from "../../client/servers/sentinel_peer.ts";
import { shuffled } from "../../client/servers/shuffled.ts";
import { Topology } from "../../client/servers/topology.ts";
import { textOfAddress } from "../../pool/socket/address.ts";

/** Says which servers there are, each time that it is asked. */
export interface NodeSource extends AsyncDisposable {
  /** What the servers are of, such as `the cluster of h:7000`. */
  readonly name: string;
  /**
   * Asks which servers there are.
   *
   * @throws If nothing can be asked.
   */
  look(): Promise<Topology>;
  /** What has happened, as evidence for the end of connections. */
  evidenceOf(takeover: Takeover): string;
}

/** How long a server may take to describe the cluster, in milliseconds. */
const ANSWER_MS = 1000;

/** Asks the servers of a cluster, one after another, until one has answered. */
export class ClusterNodes implements NodeSource {
  readonly name: string;
  readonly #redis: Redis;
  readonly #isTls: boolean;

  /**
   * @param redis A client of the cluster.
   * @param isTls Whether it dials over TLS.
   */
  constructor(redis: Redis, isTls: boolean) {
    this.name = `the cluster of ${textOfAddress(redis.origin)}`;
    this.#redis = redis;
    this.#isTls = isTls;
  }

  async look(): Promise<Topology> {
    const redis = this.#redis;
    // The client finds the servers, and notices when they have changed.
    await redis.send(["PING"]);
    let failure: unknown;
    for (const node of shuffled(redis.nodes())) {
      try {
        return await this.#ask(node);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  async #ask(node: RedisNode): Promise<Topology> {
    const [reply] = await node.pipeline([["CLUSTER", "SLOTS"]], {
      retry: false,
      deadlineMs: ANSWER_MS,
    });
    const topology = Topology.from(reply, node.origin, {
      isTls: this.#isTls,
      mapAddress: (address) => address,
    });
    if (topology !== undefined && topology.covered > 0) return topology;
    if (reply instanceof Error) throw reply;
    throw new Error(
      `Cannot watch ${this.name}: ${
        textOfAddress(node.origin)
      } lists no server that holds hash slots`,
    );
  }

  evidenceOf({ evidence }: Takeover): string {
    return evidence;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#redis.close({ drainMs: 0 });
  }
}

/** Asks Sentinels, by way of a client of theirs. */
export class SentinelNodes implements NodeSource {
  readonly name: string;
  readonly #redis: Redis;
  readonly #primary: string;

  /**
   * @param redis A client of the Sentinels.
   * @param primary The name of the primary in their configuration.
   */
  constructor(redis: Redis, primary: string) {
    this.name = `the primary ${primary}`;
    this.#redis = redis;
    this.#primary = primary;
  }

  async look(): Promise<Topology> {
    // After a failed dial, and on a replica, the client asks the Sentinels again.
    await this.#redis.send(["PING"]);
    return Topology.ofOne(this.#redis.nodes()[0]!.origin);
  }

  evidenceOf({ to }: Takeover): string {
    return takeoverEvidence(to, this.#primary);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#redis.close({ drainMs: 0 });
  }
}
