// Model server: one Redis, as far as connections cost it something.

/** What connections and questions cost a server. */
export interface ServerCosts {
  /** Of its time for one connection: accept, TLS, HELLO; in milliseconds. */
  readonly handshakeMs: number;
  /** Of its time for one question of topology, in milliseconds. */
  readonly questionMs: number;
}

/** The times in which a server refuses connections, in milliseconds. */
export interface Downtime {
  readonly from: number;
  readonly to: number;
}

/** How many of something there were, by time. */
export class Rate {
  readonly #buckets: Uint32Array<ArrayBuffer>;
  #total = 0;

  /** @param forMs The longest time to be counted, in milliseconds. */
  constructor(forMs: number) {
    this.#buckets = new Uint32Array(Math.ceil(forMs / BUCKET_MS) + 1);
  }

  /** How many there were. */
  get total(): number {
    return this.#total;
  }

  /** The most within a second. */
  get peak(): number {
    let sum = 0;
    let peak = 0;
    this.#buckets.forEach((count, n) => {
      sum += count - (this.#buckets[n - PER_SECOND] ?? 0);
      if (sum > peak) peak = sum;
    });
    return peak;
  }

  /** Counts one. */
  count(at: number): void {
    this.#total++;
    const bucket = Math.min(
      this.#buckets.length - 1,
      Math.floor(at / BUCKET_MS),
    );
    this.#buckets[bucket]!++;
  }
}

const BUCKET_MS = 100;
const PER_SECOND = 1000 / BUCKET_MS;

/**
 * A server that does one thing after the other.
 *
 * - A dial while it is down is refused at once.
 * - A handshake waits for those before it, and is finished even if its client has
 *   given up: the server learns of that too late.
 */
export class ModelServer {
  readonly dials: Rate;
  readonly questions: Rate;
  readonly #costs: ServerCosts;
  #down: Downtime[] = [];
  #freeAt = 0;

  constructor(costs: ServerCosts, forMs: number) {
    this.#costs = costs;
    this.dials = new Rate(forMs);
    this.questions = new Rate(forMs);
  }

  /** Has it down for a while. */
  addDowntime(downtime: Downtime): void {
    this.#down.push(downtime);
  }

  /** Whether it takes connections. */
  isUp(at: number): boolean {
    return !this.#down.some(({ from, to }) => at >= from && at < to);
  }

  /**
   * A client dials.
   *
   * @returns When the connection is open; `undefined` if it is refused, or will not
   * be open within `timeoutMs`.
   */
  dial(at: number, timeoutMs: number): number | undefined {
    this.dials.count(at);
    if (!this.isUp(at)) return undefined;
    const openAt = this.#work(at, this.#costs.handshakeMs);
    return openAt - at > timeoutMs ? undefined : openAt;
  }

  /** A client asks for the topology; returns when it has the answer. */
  ask(at: number): number {
    this.questions.count(at);
    return this.#work(at, this.#costs.questionMs);
  }

  #work(at: number, costMs: number): number {
    return this.#freeAt = Math.max(at, this.#freeAt) + costMs;
  }
}
