// What servers have acknowledged lately: what a replica that takes over may lack.
import type { Kept } from "./outbox/outbox.ts";

/** At most this many events are kept, of all servers together: 5 seconds of 10,000 a second. */
const MAX_EVENTS = 50_000;
/**
 * A failover that is noticed this long after the last acknowledgement, with no
 * failed attempt in between, has lost nothing: the replica has long had it. In milliseconds.
 */
const QUIET_MS = 60_000;
/** A server that has acknowledged nothing for this long may give way to others, in milliseconds. */
const LEFT_MS = 600_000;

/** A ZADD that was acknowledged. */
export interface Written {
  /** What was written. The command is made of it again: it would take as much memory as all the rest. */
  readonly entries: readonly Kept[];
  /** Whether it was a ZADD GT. */
  readonly keepsLater: boolean;
  /** How many members it has. */
  readonly events: number;
  /** When it was acknowledged, by `performance.now()`. */
  readonly at: number;
}

/**
 * Keeps what each server has acknowledged in a span of time that ends with its
 * last acknowledgement: a server that is gone acknowledges nothing, and what it did last
 * stays, however long its failover takes. No timer runs for it.
 */
export class Recent {
  readonly #spanMs: number;
  readonly #byServer = new Map<string, WrittenQueue>();
  #events = 0;

  /** @param spanMs How long the span is, in milliseconds. */
  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  /** How many events are kept. */
  get events(): number {
    return this.#events;
  }

  /** Keeps what a server has acknowledged, and lets go of what is too old or too much of the same server. */
  add(server: string, written: Written): void {
    let queue = this.#byServer.get(server);
    if (queue === undefined) {
      this.#byServer.set(server, queue = new WrittenQueue());
    }
    queue.push(written);
    this.#events += written.events;
    if (this.#events > MAX_EVENTS) this.#forgetLeft(written.at);
    const oldest = written.at - this.#spanMs;
    while (
      queue.first !== undefined &&
      (queue.first.at < oldest || this.#events > MAX_EVENTS)
    ) this.#events -= queue.shift()!.events;
  }

  /**
   * Removes what a server has acknowledged last, and returns it, oldest first.
   *
   * @param server The server.
   * @param failedAt When an attempt failed there, by `performance.now()`; else the present.
   */
  take(server: string, failedAt: number): Written[] {
    const taken = this.#remove(server);
    const last = taken.at(-1);
    return last === undefined || last.at < failedAt - QUIET_MS ? [] : taken;
  }

  /** Lets go of what servers have acknowledged that have long been silent: they may have left for good. */
  #forgetLeft(now: number): void {
    for (const [server, queue] of this.#byServer) {
      const { last } = queue;
      if (last === undefined || last.at < now - LEFT_MS) this.#remove(server);
    }
  }

  #remove(server: string): Written[] {
    const removed = this.#byServer.get(server)?.rest() ?? [];
    this.#byServer.delete(server);
    for (const { events } of removed) this.#events -= events;
    return removed;
  }
}

/** First in, first out. */
class WrittenQueue {
  #all: Written[] = [];
  #head = 0;

  get first(): Written | undefined {
    return this.#all[this.#head];
  }

  get last(): Written | undefined {
    return this.#all.at(-1);
  }

  push(written: Written): void {
    this.#all.push(written);
  }

  shift(): Written | undefined {
    const first = this.#all[this.#head++];
    // Otherwise it would keep all that were ever in it.
    if (this.#head * 2 > this.#all.length) {
      this.#all = this.rest();
      this.#head = 0;
    }
    return first;
  }

  rest(): Written[] {
    return this.#all.slice(this.#head);
  }
}
