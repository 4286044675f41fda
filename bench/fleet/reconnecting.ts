// Reconnecting: a connection that opens itself again, with the commands that wait for it.
import type { World } from "./world.ts";

/** An event that waits for its answer. */
export interface Command {
  readonly shard: number;
  readonly startedAt: number;
  /** Errors so far. */
  errors: number;
}

/** How a connection is opened again. */
export interface Reconnecting {
  readonly connectTimeoutMs: number;
  /** The wait before dial number `n`, 0 for the first. */
  readonly delayMs: (n: number) => number;
  /** Called before each dial but the first; true if nothing may be foreseen beyond it. */
  readonly onAttempt?: (at: number) => boolean;
  /** The connection is open. */
  readonly onOpen: (queue: Command[]) => void;
}

/** A connection that has ended and is dialed until it is open. */
export class ReconnectingLink {
  readonly #world: World;
  readonly #server: number;
  readonly #options: Reconnecting;
  readonly queue: Command[] = [];
  isOpen = false;
  isDestroyed = false;

  constructor(world: World, server: number, options: Reconnecting) {
    this.#world = world;
    this.#server = server;
    this.#options = options;
    this.#next(world.now + options.delayMs(0), 0);
  }

  /** The dials until one succeeds, or until other things have to happen first. */
  #next(firstAt: number, firstNumber: number): void {
    const { servers, agenda } = this.#world;
    const { onAttempt, delayMs } = this.#options;
    const server = servers[this.#server]!;
    let at = firstAt;
    let n = firstNumber;
    let isForeseen = true;
    while (isForeseen && !server.isUp(at) && at < this.#world.endMs) {
      if (n > 0 && onAttempt?.(at) === true) isForeseen = false;
      else {
        server.dials.count(at);
        at += delayMs(++n);
      }
    }
    if (at >= this.#world.endMs) return;
    agenda.at(at, () => this.#dial(n));
  }

  #dial(n: number): void {
    if (this.isDestroyed) return;
    const { agenda, now } = this.#world;
    const { connectTimeoutMs, delayMs, onOpen } = this.#options;
    const isUp = this.#world.servers[this.#server]!.isUp(now);
    const openAt = this.#world.dial(this.#server, connectTimeoutMs);
    if (openAt !== undefined) {
      agenda.at(openAt, () => {
        if (this.isDestroyed) return;
        this.isOpen = true;
        onOpen(this.queue.splice(0));
      });
      return;
    }
    const failedAt = isUp ? now + connectTimeoutMs : now;
    this.#next(failedAt + delayMs(n + 1), n + 1);
  }
}
