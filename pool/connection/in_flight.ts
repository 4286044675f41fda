// Commands in flight: a slot for each, first in, first out.
import type { Command, Reply } from "../../resp/types.ts";
import { type CloseReport, ConnectionClosedError } from "./close_report.ts";
import type { Fate } from "./fate.ts";

/** How a command was lost. */
export interface Loss {
  /** How its connection ended. */
  readonly report: CloseReport;
  /** Whether it may have run. */
  readonly fate: Fate;
  /** Whether no byte of its reply had come. */
  readonly untouched: boolean;
  /** When its connection was opened, by `performance.now()`. */
  readonly openedAt: number;
}

/** One command's place in flight. One of its two methods is called, once. */
export interface Slot {
  /** The command. */
  readonly command: Command;
  /** Whether bulk strings of the reply become bytes. */
  readonly binary: boolean;
  /** How much longer than the reply timeout the server may take, in milliseconds. */
  readonly extraReplyTimeoutMs: number;
  /** The reply has come. */
  resolve(reply: Reply): void;
  /** The connection ended before it came. */
  lose(loss: Loss): void;
}

const MIN_CAPACITY = 64;
/** A ring of up to this many places never shrinks. */
const KEPT_CAPACITY = 64 * 1024;

/**
 * A first-in, first-out queue of slots, in a ring that doubles when it is full.
 * It costs a command 13 ns; push and shift of an array cost 66 with one in
 * flight, 86 with 1000, and 2000 with 20,000.
 */
export class InFlight {
  #ring: (Slot | undefined)[] = new Array(MIN_CAPACITY).fill(undefined);
  #head = 0;
  #length = 0;

  /** How many slots there are. */
  get length(): number {
    return this.#length;
  }

  /** The slot that the next reply answers. */
  first(): Slot | undefined {
    return this.#ring[this.#head];
  }

  /** The slot that the reply after `index` others answers. */
  at(index: number): Slot | undefined {
    return index < this.#length
      ? this.#ring[(this.#head + index) & (this.#ring.length - 1)]
      : undefined;
  }

  /** Adds a slot at the end. */
  push(slot: Slot): void {
    if (this.#length === this.#ring.length) this.#resize(2 * this.#length);
    this.#ring[(this.#head + this.#length++) & (this.#ring.length - 1)] = slot;
  }

  /** Removes the first slot. */
  shift(): Slot | undefined {
    const slot = this.#ring[this.#head];
    if (slot === undefined) return undefined;
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#length--;
    if (
      this.#length * 8 < this.#ring.length &&
      this.#ring.length > KEPT_CAPACITY
    ) this.#resize(this.#ring.length / 2);
    return slot;
  }

  /** Removes all slots, and returns them in their order. */
  clear(): Slot[] {
    return Array.from({ length: this.#length }, () => this.shift()!);
  }

  #resize(capacity: number): void {
    const ring: (Slot | undefined)[] = new Array(capacity).fill(undefined);
    for (let i = 0; i < this.#length; i++) {
      ring[i] = this.#ring[(this.#head + i) & (this.#ring.length - 1)];
    }
    this.#ring = ring;
    this.#head = 0;
  }
}

/**
 * Sends one command, without retry or replay.
 *
 * @param target An open connection, or the right to push on one.
 * @param command The command.
 * @param binary Whether bulk strings of the reply become `Uint8Array`. @default {false}
 * @param extraReplyTimeoutMs See `Slot`. @default {0}
 * @returns The reply; an error reply is a value.
 * @throws {ConnectionClosedError} If the connection ends before the reply.
 */
export function ask(
  target: { push(slot: Slot): void },
  command: Command,
  binary = false,
  extraReplyTimeoutMs = 0,
): Promise<Reply> {
  return new Promise((resolve, reject) =>
    target.push({
      command,
      binary,
      extraReplyTimeoutMs,
      resolve,
      lose: ({ report, fate }) =>
        reject(new ConnectionClosedError(report, fate)),
    })
  );
}
