// Liveness: which connections that look open may be dead, and must answer a PING first.
import type { CloseReport } from "./connection/close_report.ts";
import { ask } from "./connection/in_flight.ts";
import { IdleAges } from "./forensics/idle_ages.ts";
import type { Member, Members } from "./member.ts";
import { FairTimeout } from "./socket/fair_timeout.ts";

/** Options of {@linkcode Liveness}. */
export interface LivenessOptions {
  /** The connections to watch over. */
  readonly members: Members;
  /** A connection idle for longer must answer a PING before its next command, in milliseconds. */
  readonly validateAfterIdleMs: number;
  /** How often {@linkcode Liveness.tick} is called, in milliseconds. */
  readonly tickMs: number;
  /** Called when a suspect has answered its PING. It is trusted until this returns. */
  readonly onProven: (member: Member) => void;
}

/** How long a suspect has for its PING: this many times what its handshake took, within bounds. */
const PROOF_FACTOR = 4;
const PROOF_MS = { least: 100, most: 1000 };
/** Never less than this many times the handshake: no PING takes longer, however slow the link. */
const SLOW_PROOF_FACTOR = 2;

/**
 * Finds connections that may have died unnoticed.
 *
 * - A suspect takes no command until it has answered a PING; without an answer
 *   in time it ends as silent.
 * - When one connection dies silently, all that are shared become suspects.
 * - After a freeze of this process they do, too: they may have been closed meanwhile.
 * - A connection that was idle for longer than `validateAfterIdleMs`, or than the
 *   idle limit that earlier closes have shown, becomes a suspect.
 */
export class Liveness {
  readonly #options: LivenessOptions;
  readonly #idleAges = new IdleAges();
  readonly #freezes = new FreezeDetector();
  #justProven: Member | undefined; // not to be suspected again at once

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  /** Whether an idle member may take a command now. If not, it has become a suspect. */
  isTrusted(member: Member): boolean {
    if (member === this.#justProven) return true;
    const now = performance.now();
    if (this.detectFreeze(now)) return false;
    const limitMs = Math.min(
      this.#options.validateAfterIdleMs,
      this.#idleAges.limitMs,
    );
    if (now - member.connection.lastByteAt <= limitMs) return true;
    this.#suspect(member);
    return false;
  }

  /** The idle age at which the server is expected to close a connection, less one tick; `Infinity` while none is known. */
  expectedIdleLimitMs(now: number): number {
    return this.#idleAges.evictAfterMs(now) - this.#options.tickMs;
  }

  /** Learns from how a connection ended. */
  onClose(report: CloseReport): void {
    if (report.how === "silence") this.#suspectAll();
    if (report.during === "idle" && report.by !== "client") {
      this.#idleAges.observe(report.idleMs, performance.now());
    }
  }

  /** Ignores time before this: it counts as no freeze. */
  restart(): void {
    this.#freezes.restart();
  }

  /** Checks for a freeze at the end of a tick. */
  tick(): void {
    const freeze = this.#freezes.beat(this.#options.tickMs);
    if (freeze !== undefined) this.#suspectAll();
  }

  /** Checks for a freeze within a tick. After one, every shared member is a suspect. */
  detectFreeze(now: number): boolean {
    const freeze = this.#freezes.look(this.#options.tickMs, now);
    if (freeze !== undefined) this.#suspectAll();
    return freeze !== undefined;
  }

  #suspectAll(): void {
    for (const member of this.#options.members) {
      if (member.state === "shared") this.#suspect(member);
    }
  }

  #suspect(member: Member): void {
    const { connection, handshakeMs } = member;
    member.isAnsweringNow = member.isIdle;
    const right = member.enter("suspect");
    const proofMs = Math.ceil(Math.max(
      PROOF_MS.least,
      SLOW_PROOF_FACTOR * handshakeMs,
      Math.min(PROOF_MS.most, PROOF_FACTOR * handshakeMs),
    ));
    const timeout = new FairTimeout(
      () => proofMs,
      () => connection.timeOut(`suspected dead, no PONG for ${proofMs} ms`),
    );
    const now = performance.now();
    const idleMs = member.isIdle ? now - connection.lastByteAt : 0;
    // A busy one has its reply timeout instead: the PING waits behind other replies.
    if (member.isIdle) timeout.start(now);
    ask(right, ["PING"]).then(() => {
      this.#idleAges.survived(idleMs);
      this.#justProven = member;
      this.#options.onProven(member);
      this.#justProven = undefined;
    }, () => {}).finally(() => timeout.stop());
  }
}

/** A process that did not run for this long, in milliseconds, was frozen. */
const FROZEN_MS = 500;

/** A time in which the process did not run. */
export interface Freeze {
  /** How long it was, in milliseconds. */
  readonly ms: number;
  /** Whether the machine was suspended: `performance.now()` stands still then. */
  readonly wasAsleep: boolean;
}

/**
 * Detects freezes by two clocks: `performance.now()` goes on while a process is
 * stopped and stands still while its machine is suspended; `Date.now()` goes on
 * in both, and may be set by hand. Set forward it looks like a suspended
 * machine; set back it changes nothing.
 */
export class FreezeDetector {
  readonly #now: () => number;
  readonly #wall: () => number;
  #at: number;
  #wallAt: number;

  /**
   * Begins to compare the clocks.
   *
   * @param now `performance.now`.
   * @param wall `Date.now`.
   */
  constructor(
    now: () => number = () => performance.now(),
    wall: () => number = () => Date.now(),
  ) {
    this.#now = now;
    this.#wall = wall;
    this.#at = now();
    this.#wallAt = wall();
  }

  /**
   * Looks for a freeze since the last beat. One that is found counts as a beat.
   *
   * @param expectedMs How much may have passed by itself, in milliseconds.
   * @param now The present, by `performance.now()`.
   * @returns The freeze, if there was one of more than half a second.
   */
  look(expectedMs: number, now: number = this.#now()): Freeze | undefined {
    const ranMs = now - this.#at;
    const sleptMs = this.#wall() - this.#wallAt - ranMs;
    const wasAsleep = sleptMs > FROZEN_MS;
    const ms = ranMs - expectedMs + (wasAsleep ? sleptMs : 0);
    if (!wasAsleep && ms <= FROZEN_MS) return undefined;
    this.restart();
    return { ms, wasAsleep };
  }

  /** The same as {@linkcode look}, but the next beat begins in any case. */
  beat(expectedMs: number): Freeze | undefined {
    const freeze = this.look(expectedMs);
    if (freeze === undefined) this.restart();
    return freeze;
  }

  /** Begins a beat: what was before does not count. */
  restart(): void {
    this.#at = this.#now();
    this.#wallAt = this.#wall();
  }
}
