// A client of several servers that exist in memory alone: keys go by shop, and servers go away, refuse and are replaced.
import {
  type Command,
  type Failover,
  type Origin,
  PipelineError,
  ReplyError,
  type Sender,
  type SendOptions,
} from "../../mod.ts";

const GONE = new Error("gone");

/**
 * What a server does with a command: it answers; fails at once; does not answer
 * until that changes; runs the command, and its answer is lost; refuses it.
 */
export type Mood = "well" | "gone" | "silent" | "deaf" | "down" | "moving";

/** One server: its sorted sets, and what it was sent. */
export class FleetServer {
  readonly origin: Origin;
  readonly sets = new Map<string, Map<string, number>>();
  readonly ran: Command[] = [];
  /** How many calls had a part here. */
  calls = 0;
  mood: Mood = "well";
  readonly #held: (() => void)[] = [];

  constructor(hostname: string) {
    this.origin = { hostname, port: 1, database: 0 };
  }

  get name(): string {
    return `${this.origin.hostname}:${this.origin.port}`;
  }

  /** Changes what it does with commands, those that have no answer yet included. */
  become(mood: Mood): void {
    this.mood = mood;
    for (const release of this.#held.splice(0)) release();
  }

  /** @throws What stands for its outcome, if that is no reply. */
  async run(command: Command, signal?: AbortSignal): Promise<unknown> {
    await undefined;
    while (this.mood === "silent") {
      await new Promise<void>((resolve) => {
        this.#held.push(resolve);
        signal?.addEventListener("abort", () => resolve(), { once: true });
      });
      if (signal?.aborted) throw signal.reason;
    }
    switch (this.mood) {
      case "gone":
        throw GONE;
      case "down":
        return new ReplyError("CLUSTERDOWN The cluster is down");
      case "moving":
        return new ReplyError("MOVED 1 elsewhere:1");
      case "deaf":
        this.#run(command);
        throw GONE;
      default:
        return this.#run(command);
    }
  }

  /** Takes over the sets of another server, as a replica that lacks the members of the last commands. */
  follow(other: FleetServer, lacking: number): void {
    const lost = new Set(other.ran.slice(other.ran.length - lacking));
    for (const command of other.ran) {
      if (!lost.has(command)) this.#run(command);
    }
  }

  members(key: string): Map<string, number> {
    return this.sets.get(key) ?? new Map();
  }

  #run(command: Command): unknown {
    this.ran.push(command);
    const [name, key, ...rest] = command;
    if (name === "TIME") return ["2000000000", "0"];
    if (name !== "ZADD") return 0;
    if (`${key}`.includes("wrong")) return new ReplyError("WRONGTYPE no set");
    const keepsLater = rest[0] === "GT";
    const pairs = keepsLater ? rest.slice(1) : rest;
    const set = this.members(`${key}`);
    this.sets.set(`${key}`, set);
    for (let i = 0; i < pairs.length; i += 2) {
      const score = Number(pairs[i]);
      const member = `${pairs[i + 1]}`;
      const before = keepsLater ? set.get(member) ?? -Infinity : -Infinity;
      set.set(member, Math.max(score, before));
    }
    return 1;
  }
}

/** A client of several servers. The key of shop 7 is on the last of four of them. */
export class Fleet implements Sender {
  readonly origin: Origin = { hostname: "seed", port: 1, database: 0 };
  isClosed = false;
  /** In charge of the shops, by their number. */
  readonly primaries: FleetServer[];
  /** By the number of a shop, the place of the server that it has moved to. */
  readonly moved = new Map<number, number>();
  readonly #listeners = new Set<(failover: Failover) => void>();
  #made = 0;

  constructor(servers: number) {
    this.primaries = Array.from({ length: servers }, () => this.#make());
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  originOf(key: string): Origin {
    return this.#serverOf(key).origin;
  }

  onFailover(listener: (failover: Failover) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async send(command: Command, options?: SendOptions): Promise<unknown> {
    const reply = await this.#run([command], options).then(([reply]) => reply);
    if (reply instanceof Error) throw reply;
    return reply;
  }

  async pipeline(
    commands: readonly Command[],
    options?: SendOptions,
  ): Promise<readonly unknown[]> {
    const outcomes = await this.#run(commands, options);
    const isLoss = (one: unknown) =>
      one instanceof Error && !(one instanceof ReplyError);
    const losses = outcomes.filter(isLoss);
    if (losses.length === 0) return outcomes;
    const cause = losses[0] as Error;
    if (losses.length === outcomes.length) throw cause;
    throw new PipelineError(outcomes as (number | Error)[], cause);
  }

  /** A replica takes the place of a primary, without the last commands of that. */
  promote(shard: number, { lacking = 0, tells = true } = {}): FleetServer {
    const from = this.primaries[shard]!;
    const to = this.#make();
    to.follow(from, lacking);
    this.primaries[shard] = to;
    if (tells) this.tell(from, to);
    return to;
  }

  tell(from: FleetServer, to: FleetServer): void {
    for (const listener of this.#listeners) {
      listener({ from: from.origin, to: to.origin });
    }
  }

  #make(): FleetServer {
    return new FleetServer(`s${this.#made++}`);
  }

  #serverOf(key: string): FleetServer {
    const shopNo = Number(/_(\d+)_/.exec(key)?.[1] ?? 0);
    const place = this.moved.get(shopNo) ?? shopNo % this.primaries.length;
    return this.primaries[place]!;
  }

  /** What became of each command: an error that is no reply, if it has none. */
  async #run(
    commands: readonly Command[],
    options: SendOptions = {},
  ): Promise<unknown[]> {
    const servers = commands.map(([, key]) => this.#serverOf(`${key ?? ""}`));
    for (const server of new Set(servers)) server.calls++;
    const signal = options.signal ?? undefined;
    const outcomes = await Promise.allSettled(
      commands.map((command, i) => servers[i]!.run(command, signal)),
    );
    return outcomes.map((outcome) =>
      outcome.status === "fulfilled" ? outcome.value : outcome.reason
    );
  }
}
