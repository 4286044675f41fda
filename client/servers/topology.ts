// Which server of a cluster holds which hash slots.
import {
  type Address,
  equals,
  includes,
  textOfAddress,
} from "../../pool/socket/address.ts";
import { ReplyError } from "../../resp/errors.ts";
import type { Reply } from "../../resp/types.ts";
import {
  type ListedServer,
  type ListedShard,
  type Naming,
  rangesIn,
} from "./cluster_slots.ts";
import { HASH_SLOTS } from "./server.ts";
import { HashSlotRanges } from "./hash_slot.ts";

/** A primary and its replicas. */
export interface Shard {
  readonly primary: Address;
  readonly replicas: readonly Address[];
  /** How many hash slots it holds; 0 once all of them have moved. */
  readonly hashSlots: number;
}

/** A shard whose hash slots are counted. */
interface CountedShard extends Shard {
  hashSlots: number;
}

/** In the table: no server is known. */
const NONE = 0xffff;
/** Redirects may name servers without end: the memory for them is bounded, and indexes stay below {@linkcode NONE}. */
const MAX_SHARDS = 2 * HASH_SLOTS;

/**
 * The servers of a cluster, as one of them described them, with what redirects
 * have said since.
 *
 * To outside it is a value: what has changed is a new topology. Only where one
 * hash slot moves the table is changed in place, since a reshard sends a
 * redirect for each of thousands, and a copy of the table has 32 KB.
 */
export class Topology {
  /** Shards by their index; those that have lost all hash slots are kept. */
  readonly shards: readonly Shard[];
  readonly #shards: CountedShard[];
  /** By the hash slot, the index of its shard. */
  readonly #table: Uint16Array;
  /** Indexes by the address of the primary. */
  readonly #primaries = new Map<string, number>();
  readonly #names: Names;
  /** By the hash slot, the number of the last redirect that has moved it; made by the first one. */
  #patchedAt: Uint32Array | undefined;
  #patches = 0;

  private constructor(
    shards: readonly Shard[],
    table: Uint16Array,
    names: Names,
  ) {
    this.shards = this.#shards = shards.map((shard) => ({ ...shard }));
    this.#table = table;
    this.#names = names;
    shards.forEach(({ primary }, i) =>
      this.#primaries.set(textOfAddress(primary), i)
    );
  }

  /** A topology in which no server is known. A new one each time, since redirects are written into it. */
  static empty(): Topology {
    return new Topology(
      [],
      new Uint16Array(HASH_SLOTS).fill(NONE),
      new Names(),
    );
  }

  /** The topology of a server that has no cluster: it holds all hash slots. */
  static ofOne(primary: Address): Topology {
    const shard = { primary, replicas: [], hashSlots: HASH_SLOTS };
    return new Topology([shard], new Uint16Array(HASH_SLOTS), new Names());
  }

  /**
   * The topology in a reply to CLUSTER SLOTS. Where ranges overlap, the later one
   * counts. A server without a cluster refuses the question, and holds all hash slots.
   *
   * @param reply The reply.
   * @param asked Where the server was dialed that it is from.
   * @param naming How its addresses become those that are dialed.
   * @returns `undefined` if it is no such reply.
   */
  static from(
    reply: Reply,
    asked: Address,
    naming: Naming,
  ): Topology | undefined {
    if (
      reply instanceof ReplyError &&
      reply.message.includes("cluster support disabled")
    ) return Topology.ofOne(asked);
    const ranges = rangesIn(reply, asked, naming);
    if (ranges === undefined) return undefined;
    const topology = Topology.empty();
    const indexes = new Map<ListedShard, number>();
    for (const { start, end, shard } of ranges) {
      const index = indexes.get(shard) ?? topology.#add(shard);
      indexes.set(shard, index);
      for (let at = start; at <= end; at++) topology.#assign(at, index);
    }
    return topology;
  }

  /** How many hash slots have a server. */
  get covered(): number {
    return this.#shards.reduce((sum, { hashSlots }) => sum + hashSlots, 0);
  }

  /** How many redirects have been written into it, and into those that it was made from. */
  get patches(): number {
    return this.#patches;
  }

  /** The index of the shard that holds a hash slot; of none, if no server is known. */
  shardOf(hashSlot: number): number {
    return this.#table[hashSlot] ?? NONE;
  }

  /** Whether the server at an address holds hash slots. */
  isPrimary(address: Address): boolean {
    return (this.#shardAt(address)?.hashSlots ?? 0) > 0;
  }

  /** The shard that the server at an address is a replica of. */
  shardOfReplica(address: Address): Shard | undefined {
    return this.shards.find(({ replicas }) => includes(replicas, address));
  }

  /** The hash slots of a primary, such as `0-99,200-300`; `""` if there are none. */
  rangesOf(primary: Address): string {
    const shard = this.#primaries.get(textOfAddress(primary));
    const ranges = new HashSlotRanges();
    this.#table.forEach((holder, hashSlot) => {
      if (holder === shard) ranges.add(hashSlot);
    });
    return `${ranges}`;
  }

  /**
   * The address that a server is dialed at, of an address that a redirect has
   * named: over TLS the host name that stands for an IP address.
   */
  canonical(address: Address): Address {
    return this.#names.canonical(address);
  }

  /** The server whose host is not known to the others (`?`), by its port; `undefined` if that may be several. */
  atPort(port: number): Address | undefined {
    return this.#names.atPort(port);
  }

  /**
   * Writes a redirect (MOVED) into the topology. Where the hash slot goes to a
   * replica of the server that has said so, the replica has been promoted: it
   * gets all hash slots of that server.
   *
   * @param hashSlot The hash slot.
   * @param to The server that holds it.
   * @param from The server that has said so.
   * @returns Another topology after a promotion, else nearly always this one.
   */
  moved(hashSlot: number, to: Address, from: Address): Topology {
    const promoted = this.#promotedBy(hashSlot, to, from);
    if (promoted !== undefined) return promoted;
    this.#patch(hashSlot);
    this.#assign(hashSlot, this.#indexOf(to, []));
    return this.#shards.length < MAX_SHARDS ? this : this.#withoutEmpty();
  }

  /**
   * Writes into this topology, which a server has just described, what redirects
   * have written into the one before it while the question was under way: they
   * are newer than the answer. Returns this topology.
   *
   * @param before The topology in use.
   * @param patches What its {@linkcode patches} were when the question was sent.
   */
  patchedBy(before: Topology, patches: number): Topology {
    before.#patchedAt?.forEach((patch, hashSlot) => {
      if (patch <= patches) return;
      const shard = before.#shards[before.#table[hashSlot]!];
      if (shard === undefined) return; // an answer after the redirect has none
      this.#assign(hashSlot, this.#indexOf(shard.primary, shard.replicas));
    });
    this.#takePatches(before);
    return this;
  }

  /** The index of a shard that was listed, which is made if it is new. */
  #add({ primary, replicas }: ListedShard): number {
    for (const server of [primary, ...replicas]) this.#names.add(server);
    return this.#indexOf(
      primary.address,
      replicas.map(({ address }) => address),
    );
  }

  /** The topology after a promotion; `undefined` if there was none. */
  #promotedBy(
    hashSlot: number,
    to: Address,
    from: Address,
  ): Topology | undefined {
    const index = this.#table[hashSlot]!;
    const shard = this.#shards[index];
    if (
      shard === undefined || shard !== this.#shardAt(from) ||
      !includes(shard.replicas, to)
    ) return undefined;
    const promoted = new Topology(
      this.#shards,
      this.#table.slice(),
      this.#names,
    );
    promoted.#takePatches(this);
    const successor = promoted.#indexOf(
      to,
      shard.replicas.filter((replica) => !equals(replica, to)),
    );
    this.#table.forEach((holder, each) => {
      if (holder !== index) return;
      promoted.#patch(each);
      promoted.#assign(each, successor);
    });
    return promoted.#withoutEmpty();
  }

  /** The same without the shards that have lost all hash slots. */
  #withoutEmpty(): Topology {
    const topology = new Topology(
      [],
      new Uint16Array(HASH_SLOTS).fill(NONE),
      this.#names,
    );
    this.#table.forEach((index, hashSlot) => {
      const shard = this.#shards[index];
      if (shard === undefined) return;
      topology.#assign(
        hashSlot,
        topology.#indexOf(shard.primary, shard.replicas),
      );
    });
    topology.#takePatches(this);
    return topology;
  }

  #takePatches(other: Topology): void {
    this.#patchedAt = other.#patchedAt?.slice();
    this.#patches = other.#patches;
  }

  #patch(hashSlot: number): void {
    this.#patchedAt ??= new Uint32Array(HASH_SLOTS);
    this.#patchedAt[hashSlot] = ++this.#patches;
  }

  #shardAt(primary: Address): CountedShard | undefined {
    return this.#shards[this.#primaries.get(textOfAddress(primary)) ?? NONE];
  }

  /** The index of the shard of a primary, which is made if it is new. */
  #indexOf(primary: Address, replicas: readonly Address[]): number {
    const name = textOfAddress(primary);
    let index = this.#primaries.get(name);
    if (index === undefined) {
      index = this.#shards.push({ primary, replicas, hashSlots: 0 }) - 1;
      this.#primaries.set(name, index);
    }
    return index;
  }

  #assign(hashSlot: number, index: number): void {
    const before = this.#shards[this.#table[hashSlot]!];
    if (before !== undefined) before.hashSlots--;
    this.#shards[index]!.hashSlots++;
    this.#table[hashSlot] = index;
  }
}

/** The names that redirects may give the servers of a topology. */
class Names {
  /** The addresses at which servers are dialed. */
  readonly #dialed = new Set<string>();
  readonly #aliases = new Map<string, Address>();
  /** Servers whose host the others do not know, by port. */
  readonly #unnamed = new Map<number, Address[]>();

  add({ address, aliases, unnamedPort }: ListedServer): void {
    const name = textOfAddress(address);
    if (this.#dialed.has(name)) return;
    this.#dialed.add(name);
    for (const alias of aliases) {
      this.#aliases.set(textOfAddress(alias), address);
    }
    if (unnamedPort === undefined) return;
    const others = this.#unnamed.get(unnamedPort) ?? [];
    this.#unnamed.set(unnamedPort, [...others, address]);
  }

  canonical(address: Address): Address {
    const name = textOfAddress(address);
    if (this.#dialed.has(name)) return address;
    return this.#aliases.get(name) ?? address;
  }

  atPort(port: number): Address | undefined {
    const servers = this.#unnamed.get(port);
    return servers?.length === 1 ? servers[0] : undefined;
  }
}
