// After a failover, what the server that is gone has acknowledged last is written once more.
import type { SendOptions } from "../client/send_options.ts";
import { ExponentialBackoff } from "../retry/backoff.ts";
import { zadd } from "./entries/entry.ts";
import { countOf } from "./entries/queue.ts";
import {
  type Failure,
  failureIn,
  failuresIn,
  outlookAmongMany,
} from "./outage.ts";
import { type Kept, keptOf } from "./outbox/outbox.ts";
import { Recent, type Written } from "./recent.ts";
import type { Sender } from "./sender.ts";

/** At most this many events in one flush. */
const MAX_EVENTS = 1000;
/** At most this many writes wait to be repeated; the oldest are let go. */
const MAX_WAITING = 50_000;
/** What is refused for this long is not repeated any more, in milliseconds. */
const REFUSED_MS = 900_000;

/** Options of {@linkcode Repeats}. */
export interface RepeatsOptions {
  readonly sender: Sender;
  /** How far it goes back, in milliseconds. */
  readonly spanMs: number;
  /** The options that everything is sent with. */
  readonly sendOptions: SendOptions;
  /** The server that a key goes to now. */
  readonly serverOf: (key: string) => string;
  /** Called with the entries of each set that was written once more. */
  readonly onRepeated: (entries: readonly Kept[]) => void;
}

/**
 * Repeats writes that were acknowledged before a failover. Replication is
 * asynchronous: the last of them may be missing on the replica that was promoted. A
 * ZADD of a member that is there changes nothing, so a repeat does no harm.
 *
 * - A write is kept for the server that was in charge when it began and, if that
 *   is another, for the one that is in charge when its reply has come.
 * - Outcomes and counts of events stay as they are.
 * - One chunk is on its way at a time, in one attempt without retries, by
 *   backoff while nothing goes through.
 */
export class Repeats {
  readonly #options: RepeatsOptions;
  readonly #sendOptions: SendOptions;
  readonly #recent: Recent;
  readonly #backoff = new ExponentialBackoff({ jitter: 0.2 });
  #waiting: Written[] = [];
  #running: Promise<void> | undefined;
  #failovers = 0;
  #repeated = 0;
  #isOver = false;
  #wake: (() => void) | undefined; // ends the wait between two attempts

  constructor(options: RepeatsOptions) {
    this.#options = options;
    this.#sendOptions = { ...options.sendOptions, retry: false };
    this.#recent = new Recent(options.spanMs);
  }

  /** How many events were written once more so far. */
  get repeated(): number {
    return this.#repeated;
  }

  /**
   * A server that was in charge when a write began has acknowledged it, or another
   * that was by then.
   *
   * @param isLate Whether there was a failover in between: then the write was
   * not among those that were repeated for it.
   */
  note(
    server: string,
    entries: readonly Kept[],
    keepsLater: boolean,
    isLate: boolean,
  ): void {
    const at = performance.now();
    const written = {
      entries: entries.map(keptOf),
      keepsLater,
      events: countOf(entries),
      at,
    };
    this.#recent.add(server, written);
    const now = this.#options.serverOf(entries[0]!.key);
    if (now === server) return;
    this.#recent.add(now, written);
    if (isLate) this.#add([written]);
  }

  /**
   * A server was replaced.
   *
   * @param server The server.
   * @param awayMs For how long it has been away, in milliseconds.
   */
  failover(server: string, awayMs: number): void {
    this.#failovers++;
    this.#add(this.#recent.take(server, performance.now() - awayMs));
    this.#wake?.();
  }

  /** Repeats now. Resolves once everything is repeated, or cannot be. */
  async flush(): Promise<void> {
    this.#wake?.();
    await this.#running;
  }

  /** Repeats nothing any more. */
  end(): void {
    this.#isOver = true;
    this.#waiting = [];
    this.#wake?.();
  }

  #add(written: readonly Written[]): void {
    if (this.#isOver || written.length === 0) return;
    this.#waiting = [...this.#waiting, ...written].slice(-MAX_WAITING);
    this.#running ??= this.#repeatAll();
  }

  async #repeatAll(): Promise<void> {
    await undefined; // those of the same turn
    for (let failures = 0; this.#waiting.length > 0;) {
      if (failures > 0) await this.#pause(this.#backoff.delayMs(failures - 1));
      if (this.#waiting.length === 0) break;
      failures = await this.#repeatSome() ? 0 : failures + 1;
    }
    this.#running = undefined;
  }

  /** Repeats the first writes. False if they are all left over. */
  async #repeatSome(): Promise<boolean> {
    const some = this.#take();
    const commands = some.map(({ entries, keepsLater }) =>
      zadd(entries, keepsLater)
    );
    const failovers = this.#failovers;
    let failures: Failure[];
    try {
      const replies = await this.#options.sender.pipeline(
        commands,
        this.#sendOptions,
      );
      failures = replies.map(failureIn);
    } catch (error) {
      failures = failuresIn(error, commands.length);
    }
    if (this.#isOver) return true;
    // The server that has answered may be the one that is gone.
    const isLate = failovers !== this.#failovers;
    const left = some.filter((written, i) => {
      const failure = failures[i];
      if (failure !== undefined) return this.#isLeft(written, failure.error);
      if (isLate) return true;
      this.#repeated += written.events;
      this.#recent.add(this.#options.serverOf(written.entries[0]!.key), {
        ...written,
        at: performance.now(),
      });
      this.#options.onRepeated(written.entries);
      return false;
    });
    this.#waiting = [...left, ...this.#waiting];
    return left.length < some.length;
  }

  /** Whether a write that has failed is tried again. */
  #isLeft({ at }: Written, error: unknown): boolean {
    if (this.#options.sender.isClosed) return false;
    switch (outlookAmongMany(error)) {
      case "away":
        return true;
      case "refused":
        return performance.now() - at < REFUSED_MS;
      case "denied":
      case "final":
        return false;
    }
  }

  #take(): Written[] {
    let end = 0;
    for (let events = 0; end < this.#waiting.length; end++) {
      events += this.#waiting[end]!.events;
      if (events > MAX_EVENTS && end > 0) break;
    }
    return this.#waiting.splice(0, end);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
