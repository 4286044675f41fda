// A real cluster for one test: servers that are joined by commands, and what can be done to them.

import { delay } from "@std/async/delay";
import { PlainConnection } from "../../cli/plain_commands.ts";
import { type RedisServer, startRedis } from "./redis_server.ts";
import { until } from "./wait.ts";

const HASH_SLOTS = 16_384;
const CERTIFICATES = new URL("./certificates/", import.meta.url).pathname;
/** Below the ports that the system gives to outgoing connections, and so is the bus. */
const FIRST_PORT = 10_000;
const LAST_PORT = 22_000;
/** How far the port of the cluster bus is from the port of clients. */
const BUS_OFFSET = 10_000;
const START_ATTEMPTS = 20;
/** Between two questions whether a cluster is ready, besides the pause of `until`. */
const PAUSE_MS = 50;
const KEYS_AT_ONCE = 1000;

/** How to start a cluster. */
export interface ClusterOptions {
  /** @default {3} */
  readonly primaries?: number;
  /** @default {1} */
  readonly replicasPerPrimary?: number;
  /** Whether clients, replicas and the bus use TLS. @default {false} */
  readonly tls?: boolean;
  /** Whether nodes are called `localhost` in replies, and not by address. @default {false} */
  readonly hostnames?: boolean;
  readonly password?: string;
  /** After what silence a node counts as failed, in milliseconds. @default {2000} */
  readonly nodeTimeoutMs?: number;
  /** Further lines of `redis.conf` of every node. */
  readonly config?: Readonly<Record<string, string | number>>;
}

/** Hash slots, the first and the last of them. */
export type SlotRange = readonly [first: number, last: number];

/** One server of a cluster. */
export interface ClusterNode {
  /** Its number, in the order of starting: primaries first. */
  readonly number: number;
  readonly id: string;
  /** `host:port` as clients see it in replies. */
  readonly address: string;
  readonly server: RedisServer;
}

/** What a node says of itself. */
export interface NodeState {
  readonly node: ClusterNode;
  readonly role: "primary" | "replica";
  /** The id of the primary that a replica follows. */
  readonly primaryId: string | undefined;
  readonly configEpoch: number;
  readonly hashSlots: readonly SlotRange[];
}

/**
 * Starts a cluster of servers, which takes 2 seconds.
 *
 * @throws {Error} If there is no server program or the servers do not form a cluster.
 */
export async function startCluster(
  options: ClusterOptions = {},
): Promise<Cluster> {
  const { primaries = 3, replicasPerPrimary = 1 } = options;
  const count = primaries * (1 + replicasPerPrimary);
  await using resources = new AsyncDisposableStack();
  const started = await Promise.allSettled(
    Array.from({ length: count }, async () => {
      const server = await startNode(options);
      resources.use(server);
      return server;
    }),
  );
  const servers = started.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
  const nodes = await Promise.all(
    servers.map(async (server, number): Promise<ClusterNode> => ({
      number,
      server,
      id: await server.cli("CLUSTER", "MYID"),
      address: `${options.hostnames ? "localhost" : server.hostname}:${
        portOf(server, options)
      }`,
    })),
  );
  const cluster = new Cluster(nodes, options, resources.move());
  try {
    await join(cluster, primaries, options);
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

/** A running cluster, which goes away when it is disposed of. */
export class Cluster implements AsyncDisposable {
  /** Every server, also those that are down. */
  readonly nodes: readonly ClusterNode[];
  readonly #options: ClusterOptions;
  readonly #resources: AsyncDisposableStack;
  readonly #frozen = new Set<ClusterNode>();

  constructor(
    nodes: readonly ClusterNode[],
    options: ClusterOptions,
    resources: AsyncDisposableStack,
  ) {
    this.nodes = nodes;
    this.#options = options;
    this.#resources = resources;
  }

  /** A URL with the first node as the host, and the others as seeds. */
  get url(): string {
    return this.urlOf(this.nodes);
  }

  /** The PEM text of the authority behind the certificates of all nodes. */
  get caCert(): string {
    return this.nodes[0]!.server.caCert;
  }

  /** A URL with these nodes, the first as the host, and the others as seeds. */
  urlOf(nodes: readonly ClusterNode[]): string {
    const { tls = false, password } = this.#options;
    const [first, ...seeds] = nodes.map(({ address }) => address);
    const userInfo = password === undefined
      ? ""
      : `:${encodeURIComponent(password)}@`;
    return `redis${tls ? "s" : ""}://${userInfo}${first}?cluster=true` +
      (seeds.length === 0 ? "" : `&seeds=${seeds.join(",")}`);
  }

  /** The nodes that run and are not frozen. */
  get running(): ClusterNode[] {
    return this.nodes.filter((node) =>
      node.server.running && !this.#frozen.has(node)
    );
  }

  /** The node with an address or an id. */
  node(addressOrId: string): ClusterNode {
    const found = this.nodes.find(({ id, address }) =>
      id === addressOrId || address === addressOrId
    );
    if (found === undefined) throw new Error(`There is no node ${addressOrId}`);
    return found;
  }

  /** What each running node says of itself. */
  async states(): Promise<NodeState[]> {
    return await Promise.all(this.running.map((node) => stateOf(node)));
  }

  /** The running nodes that hold hash slots. */
  async primaries(): Promise<ClusterNode[]> {
    return (await this.states())
      .filter(({ role, hashSlots }) =>
        role === "primary" && hashSlots.length > 0
      )
      .map(({ node }) => node);
  }

  /** The hash slot of a key, as a server computes it. */
  async hashSlotOf(key: string): Promise<number> {
    return Number(
      await this.running[0]!.server.cli("CLUSTER", "KEYSLOT", key),
    );
  }

  /** The running primary of a key or hash slot, the newest if two say so. */
  async primaryOf(keyOrSlot: string | number): Promise<ClusterNode> {
    const hashSlot = typeof keyOrSlot === "number"
      ? keyOrSlot
      : await this.hashSlotOf(keyOrSlot);
    const [newest] = (await this.states())
      .filter(({ role, hashSlots }) =>
        role === "primary" &&
        hashSlots.some(([first, last]) => first <= hashSlot && hashSlot <= last)
      )
      .sort((one, other) => other.configEpoch - one.configEpoch);
    if (newest === undefined) {
      throw new Error(`No running node holds hash slot ${hashSlot}`);
    }
    return newest.node;
  }

  /** The first running replica of a primary, which may be down. */
  async replicaOf(primary: ClusterNode): Promise<ClusterNode> {
    const [replica] = await this.replicasOf(primary);
    if (replica === undefined) {
      throw new Error(`No running replica follows ${primary.address}`);
    }
    return replica;
  }

  /** The running replicas of a primary, which may be down. */
  async replicasOf(primary: ClusterNode): Promise<ClusterNode[]> {
    return (await this.states())
      .filter(({ primaryId }) => primaryId === primary.id)
      .map(({ node }) => node);
  }

  /**
   * Waits until all running nodes say that the cluster is well, each hash slot
   * is held by one of them, and replicas follow it.
   */
  async settled(): Promise<void> {
    await until(async () => {
      const held = (await this.states()).flatMap(({ hashSlots }) => hashSlots)
        .reduce((sum, [first, last]) => sum + 1 + last - first, 0);
      return held === HASH_SLOTS;
    }, "each hash slot is held by one node");
    await everyNode(this.running, this.#options, "is well", isWell);
  }

  /** Runs a command at the primary of its key, which comes second. */
  async at(key: string, ...command: (string | number)[]): Promise<string> {
    return await (await this.primaryOf(key)).server.cli(...command);
  }

  /** Keys of all primaries. */
  async keys(pattern = "*"): Promise<string[]> {
    const texts = await this.onPrimaries("KEYS", pattern);
    return texts.flatMap((text) => text === "" ? [] : text.split("\n"));
  }

  /** The members of every sorted set whose key matches, by key. */
  async members(pattern = "*"): Promise<Map<string, string[]>> {
    return new Map(
      await this.#read(
        pattern,
        ["ZRANGE", "", "0", "-1"],
        (text) => text === "" ? [] : text.split("\n"),
      ),
    );
  }

  /** The number in every key that matches, by key. */
  async counters(pattern = "*"): Promise<Map<string, number>> {
    return new Map(await this.#read(pattern, ["GET", ""], Number));
  }

  /** The sum of the numbers in all keys that match. */
  async sum(pattern = "*"): Promise<number> {
    let sum = 0;
    for (const value of (await this.counters(pattern)).values()) sum += value;
    return sum;
  }

  /** Runs a command at every primary. */
  async onPrimaries(...command: (string | number)[]): Promise<string[]> {
    const primaries = await this.primaries();
    return await Promise.all(
      primaries.map(({ server }) => server.cli(...command)),
    );
  }

  /** How often the running nodes together, or one of them, ran a command, such as `cluster|slots`. */
  async calls(name: string, nodes = this.running): Promise<number> {
    const pattern = new RegExp(
      `cmdstat_${name.replace("|", "\\|")}:calls=(\\d+)`,
    );
    const counts = await Promise.all(nodes.map(async ({ server }) => {
      const text = await server.cli("INFO", "commandstats");
      return Number(pattern.exec(text)?.[1] ?? 0);
    }));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** How many connections of clients a node has, besides the one that asks. */
  async clients(node: ClusterNode): Promise<number> {
    const list = await node.server.cli("CLIENT", "LIST", "TYPE", "normal");
    return list.split("\n").filter((line) => line !== "").length - 1;
  }

  /** How many connections a node has accepted since it started, those of this class too. */
  async accepted(node: ClusterNode): Promise<number> {
    const text = await node.server.cli("INFO", "stats");
    return Number(/total_connections_received:(\d+)/.exec(text)![1]);
  }

  /** Ends a server as a crash would. */
  async kill(node: ClusterNode): Promise<void> {
    await node.server.kill();
  }

  /** Starts a server again, with the files it has. */
  async restart(node: ClusterNode): Promise<void> {
    await node.server.start();
    this.#frozen.delete(node);
  }

  /** Stops a process: its sockets stay open, and nothing is answered. */
  freeze(node: ClusterNode): void {
    node.server.freeze();
    this.#frozen.add(node);
  }

  /** Lets a frozen process go on. */
  thaw(node: ClusterNode): void {
    node.server.thaw();
    this.#frozen.delete(node);
  }

  /** Ends all connections of clients. */
  async killConnections(nodes = this.running): Promise<void> {
    await Promise.all(
      nodes.map(({ server }) => server.cli("CLIENT", "KILL", "TYPE", "normal")),
    );
  }

  /**
   * Makes a replica the primary without losing a write, and its primary a
   * replica of it, which follows when this returns.
   *
   * @returns After how many milliseconds it was the primary.
   */
  async failover(replica: ClusterNode): Promise<number> {
    const { primaryId } = await stateOf(replica);
    const primary = this.node(primaryId ?? "of a primary");
    const startedAt = performance.now();
    await replica.server.cli("CLUSTER", "FAILOVER");
    await until(
      async () => (await stateOf(replica)).role === "primary",
      `${replica.address} is a primary`,
    );
    const ms = performance.now() - startedAt;
    using connection = await this.open(primary);
    await until(
      async () =>
        (await stateOf(primary)).primaryId === replica.id &&
        await isInStep(connection),
      `${primary.address} is a replica`,
    );
    return ms;
  }

  /**
   * Waits until a replica of a primary that is down or frozen holds its hash
   * slots and takes writes.
   *
   * @param primary The primary.
   * @param replicas Its replicas, from before it went away. @default those that still follow it
   * @returns The new primary, and after how many milliseconds it took writes.
   */
  async waitForPromotion(
    primary: ClusterNode,
    replicas?: readonly ClusterNode[],
  ): Promise<{ node: ClusterNode; ms: number }> {
    const startedAt = performance.now();
    replicas ??= await this.replicasOf(primary);
    if (replicas.length === 0) {
      throw new Error(`No running replica follows ${primary.address}`);
    }
    let node: ClusterNode | undefined;
    const connections = await Promise.all(
      replicas.map(async (replica) =>
        [replica, await this.open(replica)] as const
      ),
    );
    try {
      await until(
        async () => {
          for (const [replica, connection] of connections) {
            const state = parseState(
              replica,
              await connection.run(["CLUSTER", "NODES"]),
            );
            if (state.role !== "primary") continue;
            const info = await connection.run(["CLUSTER", "INFO"]);
            if (info.includes("cluster_state:ok")) node = replica;
          }
          return node !== undefined;
        },
        `a replica of ${primary.address} is promoted`,
        30_000,
      );
    } finally {
      for (const [, connection] of connections) connection[Symbol.dispose]();
    }
    return { node: node!, ms: performance.now() - startedAt };
  }

  /**
   * Moves hash slots one after the other, as `redis-cli --cluster reshard` does.
   * With `holdMs` all of them are moved at once, and are held so long between
   * the two nodes with all their keys at the target: the source says ASK.
   */
  async migrate(
    range: SlotRange,
    from: ClusterNode,
    to: ClusterNode,
    { holdMs }: { readonly holdMs?: number } = {},
  ): Promise<void> {
    await using migration = await this.#migration(from, to);
    if (holdMs !== undefined) {
      await migration.mark(range);
      await migration.moveKeys(range);
      await delay(holdMs);
      await migration.finish(range);
      return;
    }
    for (let hashSlot = range[0]; hashSlot <= range[1]; hashSlot++) {
      await migration.mark([hashSlot, hashSlot]);
      await migration.moveKeys([hashSlot, hashSlot]);
      await migration.finish([hashSlot, hashSlot]);
    }
  }

  /** Puts hash slots into migration: their keys are still at the source. */
  async openMigration(
    range: SlotRange,
    from: ClusterNode,
    to: ClusterNode,
  ): Promise<Migration> {
    const migration = await this.#migration(from, to);
    await migration.mark(range);
    return migration;
  }

  /** Makes all other running nodes forget one, which must hold no hash slots. */
  async forget(node: ClusterNode): Promise<void> {
    await Promise.all(
      this.running.filter((other) => other !== node)
        .map(({ server }) => server.cli("CLUSTER", "FORGET", node.id)),
    );
  }

  /** A connection for several commands to a node, over its plain port. */
  open(node: ClusterNode): Promise<PlainConnection> {
    return openTo(node, this.#options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map(({ server }) => server.kill()));
    await this.#resources.disposeAsync();
  }

  async #migration(from: ClusterNode, to: ClusterNode): Promise<Migration> {
    // Replicas learn it from their primaries, and refuse to be told.
    const primaries = new Set([from, to, ...await this.primaries()]);
    const connections = await Promise.all(
      [...primaries].map(async (node) =>
        [node, await this.open(node)] as const
      ),
    );
    return new Migration(from, to, new Map(connections), this.#options);
  }

  /** What a command answers for each key that matches. */
  async #read<T>(
    pattern: string,
    command: readonly string[],
    parse: (text: string) => T,
  ): Promise<[string, T][]> {
    await this.settled();
    const entries = await Promise.all(
      (await this.primaries()).map(async (node) => {
        using connection = await this.open(node);
        const text = await connection.run(["KEYS", pattern]);
        const values: [string, T][] = [];
        for (const key of text === "" ? [] : text.split("\n")) {
          const words = command.map((word) => word === "" ? key : word);
          values.push([key, parse(await connection.run(words))]);
        }
        return values;
      }),
    );
    return entries.flat();
  }
}

/** Hash slots on their way from one node to another. */
export class Migration implements AsyncDisposable {
  readonly #from: ClusterNode;
  readonly #to: ClusterNode;
  readonly #connections: ReadonlyMap<ClusterNode, PlainConnection>;
  readonly #options: ClusterOptions;
  #marked: SlotRange = [0, -1];

  /** The connections are to all primaries, and belong to the migration. */
  constructor(
    from: ClusterNode,
    to: ClusterNode,
    connections: ReadonlyMap<ClusterNode, PlainConnection>,
    options: ClusterOptions,
  ) {
    this.#from = from;
    this.#to = to;
    this.#connections = connections;
    this.#options = options;
  }

  /** Says to both nodes that the hash slots are on their way. */
  async mark(range: SlotRange): Promise<void> {
    this.#marked = range;
    for (const hashSlot of hashSlotsOf(range)) {
      await this.#setSlot(this.#to, hashSlot, "IMPORTING", this.#from);
      await this.#setSlot(this.#from, hashSlot, "MIGRATING", this.#to);
    }
  }

  /** Moves all keys; of a key that has gone, the source says ASK. */
  async moveKeys(range: SlotRange = this.#marked): Promise<void> {
    for (const hashSlot of hashSlotsOf(range)) {
      while (true) {
        const text = await this.#run(
          this.#from,
          ["CLUSTER", "GETKEYSINSLOT", `${hashSlot}`, `${KEYS_AT_ONCE}`],
        );
        if (text === "") break;
        await this.moveKey(...text.split("\n"));
      }
    }
  }

  /** Moves these keys of one hash slot only. */
  async moveKey(...keys: string[]): Promise<void> {
    const { password } = this.#options;
    await this.#run(this.#from, [
      "MIGRATE",
      this.#to.server.hostname,
      `${portOf(this.#to.server, this.#options)}`,
      ...["", "0", "5000"],
      ...password === undefined ? [] : ["AUTH", password],
      "KEYS",
      ...keys,
    ]);
  }

  /** Says to all primaries that the hash slots are at the target now. */
  async finish(range: SlotRange = this.#marked): Promise<void> {
    const others = [...this.#connections.keys()].filter((node) =>
      node !== this.#to && node !== this.#from
    );
    for (const hashSlot of hashSlotsOf(range)) {
      for (const node of [this.#to, this.#from, ...others]) {
        await this.#setSlot(node, hashSlot, "NODE", this.#to);
      }
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections.values()) {
      connection[Symbol.dispose]();
    }
    return Promise.resolve();
  }

  #setSlot(
    at: ClusterNode,
    hashSlot: number,
    what: "IMPORTING" | "MIGRATING" | "NODE",
    node: ClusterNode,
  ): Promise<string> {
    return this.#run(
      at,
      ["CLUSTER", "SETSLOT", `${hashSlot}`, what, node.id],
    );
  }

  #run(node: ClusterNode, command: string[]): Promise<string> {
    return this.#connections.get(node)!.run(command);
  }
}

function* hashSlotsOf([first, last]: SlotRange): Iterable<number> {
  for (let hashSlot = first; hashSlot <= last; hashSlot++) yield hashSlot;
}

/** Starts one server on ports that are free, that of its bus, too. */
async function startNode(options: ClusterOptions): Promise<RedisServer> {
  const { tls = false, password, hostnames = false } = options;
  const config = {
    "cluster-enabled": "yes",
    "cluster-node-timeout": options.nodeTimeoutMs ?? 2000,
    "repl-diskless-sync-delay": 0,
    // A replica is listed in CLUSTER SLOTS once the first ping has moved its offset: after 10 s by default.
    "repl-ping-replica-period": 1,
    ...password === undefined ? {} : { masterauth: JSON.stringify(password) },
    ...tls
      ? {
        "tls-cluster": "yes",
        "tls-replication": "yes",
        // The bus demands a certificate that a client may show.
        "tls-client-cert-file": `${CERTIFICATES}client.crt`,
        "tls-client-key-file": `${CERTIFICATES}client.key`,
      }
      : {},
    ...hostnames
      ? {
        "cluster-announce-hostname": "localhost",
        "cluster-preferred-endpoint-type": "hostname",
      }
      : {},
    ...options.config,
  };
  for (let attempt = 1;; attempt++) {
    const [port, tlsPort] = [randomPort(), randomPort()];
    try {
      return await startRedis({
        port,
        config,
        ...tls ? { tls, tlsPort } : {},
        ...password === undefined ? {} : { password },
      });
    } catch (error) {
      const isTaken = error instanceof Error &&
        /address already in use/i.test(error.message);
      if (!isTaken || attempt === START_ATTEMPTS) throw error;
    }
  }
}

const randomPort = (): number =>
  FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));

/** The port that clients use, and from which that of the bus is counted. */
const portOf = (server: RedisServer, { tls }: ClusterOptions): number =>
  tls ? server.tlsPort : server.port;

async function openTo(
  { server }: ClusterNode,
  { password }: ClusterOptions,
): Promise<PlainConnection> {
  const connection = await PlainConnection.open(server.port);
  if (password !== undefined) await connection.run(["AUTH", password]);
  return connection;
}

/** Makes a cluster of servers that do not know each other. */
async function join(
  { nodes }: Cluster,
  primaries: number,
  options: ClusterOptions,
): Promise<void> {
  const first = (part: number) => Math.floor(part * HASH_SLOTS / primaries);
  await Promise.all(nodes.map(async ({ server, number }) => {
    await server.cli("CLUSTER", "SET-CONFIG-EPOCH", number + 1);
    if (number < primaries) {
      const last = first(number + 1) - 1;
      await server.cli("CLUSTER", "ADDSLOTSRANGE", first(number), last);
    }
    for (const { server: other } of nodes) {
      if (other === server) continue;
      const port = portOf(other, options);
      const bus = port + BUS_OFFSET;
      await server.cli("CLUSTER", "MEET", other.hostname, port, bus);
    }
  }));
  await everyNode(
    nodes,
    options,
    "has met all others",
    async (_, connection) => {
      const text = await connection.run(["CLUSTER", "NODES"]);
      const lines = text.trim().split("\n");
      return lines.length === nodes.length &&
        lines.every((line) =>
          !line.includes("handshake") && line.includes(" connected")
        );
    },
  );
  await Promise.all(
    nodes.slice(primaries).map(({ server, number }) =>
      server.cli("CLUSTER", "REPLICATE", nodes[number % primaries]!.id)
    ),
  );
  await everyNode(
    nodes,
    options,
    "lists all others",
    async (node, connection) => {
      const slots = await connection.run(["CLUSTER", "SLOTS"]);
      return nodes.every(({ id }) => slots.includes(id)) &&
        await isWell(node, connection);
    },
  );
}

async function everyNode(
  nodes: readonly ClusterNode[],
  options: ClusterOptions,
  what: string,
  test: (node: ClusterNode, connection: PlainConnection) => Promise<boolean>,
): Promise<void> {
  await Promise.all(nodes.map(async (node) => {
    // One for all questions: six nodes are asked for two seconds.
    using connection = await openTo(node, options);
    await until(
      async () =>
        await test(node, connection) || (await delay(PAUSE_MS), false),
      `${node.address} ${what}`,
      20_000,
    );
  }));
}

/** Whether a replica follows its primary: only then it can take its place. */
async function isInStep(connection: PlainConnection): Promise<boolean> {
  const text = await connection.run(["INFO", "replication"]);
  return text.includes("master_link_status:up");
}

/** Whether a node finds all hash slots served, and follows its primary if it has one. */
async function isWell(
  node: ClusterNode,
  connection: PlainConnection,
): Promise<boolean> {
  const info = await connection.run(["CLUSTER", "INFO"]);
  if (!info.includes("cluster_state:ok")) return false;
  const text = await connection.run(["CLUSTER", "NODES"]);
  const { role } = parseState(node, text);
  return role === "primary" || await isInStep(connection);
}

async function stateOf(node: ClusterNode): Promise<NodeState> {
  return parseState(node, await node.server.cli("CLUSTER", "NODES"));
}

/** Reads the line of CLUSTER NODES in which a node speaks of itself. */
function parseState(node: ClusterNode, text: string): NodeState {
  const line = text.split("\n").find((line) => line.includes("myself"))!;
  // id, address, flags, primary, ping, pong, epoch, link, hash slots
  const words = line.trim().split(" ");
  const isReplica = words[2]!.includes("slave");
  return {
    node,
    role: isReplica ? "replica" : "primary",
    primaryId: isReplica ? words[3] : undefined,
    configEpoch: Number(words[6]),
    hashSlots: words.slice(8)
      .filter((word) => !word.startsWith("[")) // on their way
      .map((word): SlotRange => {
        const [first, last = first] = word.split("-").map(Number);
        return [first!, last!];
      }),
  };
}
