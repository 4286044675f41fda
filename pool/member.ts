// The members of a pool: its connections, each with one state and a right to push, and when they may be replaced.
import type { Connection } from "./connection/connection.ts";
import { type ConnectionFacts, PushRight } from "./connection/push_right.ts";

/** Why a connection left the pool by the pool's own decision. */
export type RetirementReason =
  | "credentials"
  | "idle-timeout"
  | "max-age"
  | "moved"
  | "readonly"
  | "unclean-lease";

/**
 * - `shared`: takes commands of every caller.
 * - `suspect`: takes none until it has answered a PING.
 * - `reserved`: takes none until it is idle; then it is leased.
 * - `leased`: takes commands of its lease alone.
 * - `retiring`: takes none; it closes when it is idle.
 * - `gone`: no longer in the pool.
 */
export type MemberState =
  | "shared"
  | "suspect"
  | "reserved"
  | "leased"
  | "retiring"
  | "gone";

/** The transitions there are. */
const NEXT: Readonly<Record<MemberState, readonly MemberState[]>> = {
  shared: ["suspect", "reserved", "leased", "retiring", "gone"],
  suspect: ["shared", "retiring", "gone"],
  reserved: ["shared", "retiring", "gone"],
  leased: ["shared", "gone"],
  retiring: ["gone"],
  gone: [],
};

/**
 * A connection in its pool. Each state in which it is open has a right to push
 * of its own: the transition to it revokes the right of the state before.
 */
export class Member {
  readonly connection: Connection;
  /** What the dial took, handshake included, in milliseconds. */
  readonly handshakeMs: number;
  /** When it should be replaced, by `performance.now()`. */
  readonly retireAt: number;
  /** Why it leaves the pool as soon as it is free, if it does. */
  retirement: RetirementReason | undefined;
  /** Whether a suspect was idle when it was sent its PING: the answer is due at once. */
  isAnsweringNow = false;
  #state: MemberState = "shared";
  #right: PushRight;

  constructor(connection: Connection, handshakeMs: number, retireAt: number) {
    this.connection = connection;
    this.handshakeMs = handshakeMs;
    this.retireAt = retireAt;
    this.#right = new PushRight(connection);
  }

  get state(): MemberState {
    return this.#state;
  }

  /** The right to push in the present state. */
  get right(): PushRight {
    return this.#right;
  }

  /** Whether nothing is in flight. */
  get isIdle(): boolean {
    return this.connection.inFlight === 0;
  }

  /**
   * The only way from one state to another.
   *
   * @returns The right to push in the new state.
   * @throws {Error} If there is no such transition: a fault of the pool.
   */
  enter(state: MemberState): PushRight {
    if (!NEXT[this.#state].includes(state)) {
      throw new Error(`no transition from ${this.#state} to ${state}`);
    }
    this.#state = state;
    // It is closed: each push on the right that is held loses its command.
    if (state === "gone") return this.#right;
    this.#right.revoke();
    return this.#right = new PushRight(this.connection);
  }
}

/** The members of a pool, in the order in which they were opened. */
export class Members implements Iterable<Member> {
  readonly #members: Member[] = [];
  #heardAt = -Infinity; // on those that were removed

  /** How many there are. */
  get size(): number {
    return this.#members.length;
  }

  /** Commands that have no reply yet. */
  get inFlight(): number {
    let inFlight = 0;
    for (const { connection } of this.#members) inFlight += connection.inFlight;
    return inFlight;
  }

  /** When a byte last came on one of them, or on one that was removed, by `performance.now()`. */
  get heardAt(): number {
    return this.#members.reduce(
      (heardAt, { connection }) => Math.max(heardAt, connection.heardAt),
      this.#heardAt,
    );
  }

  /** How long one of them has owed a reply in silence at most, in milliseconds; 0 if none does. */
  silentMs(now: number): number {
    let silentMs = 0;
    for (const { connection } of this.#members) {
      silentMs = Math.max(silentMs, connection.silentMs(now));
    }
    return silentMs;
  }

  /** A copy: members may be removed while it is iterated. */
  [Symbol.iterator](): Iterator<Member> {
    return [...this.#members].values();
  }

  /** How many are in a state. */
  count(state: MemberState): number {
    let count = 0;
    for (const member of this.#members) if (member.state === state) count++;
    return count;
  }

  /** How many are shared and have nothing in flight. */
  countIdle(): number {
    let count = 0;
    for (const { state, isIdle } of this.#members) {
      if (state === "shared" && isIdle) count++;
    }
    return count;
  }

  /** The member of a connection. */
  of(connection: ConnectionFacts): Member | undefined {
    return this.#members.find((member) => member.connection === connection);
  }

  /** The member on which a right allows to push. */
  heldBy(right: PushRight): Member | undefined {
    return this.#members.find((member) => member.right === right);
  }

  /** The shared one with the least in flight that is not full. */
  leastLoaded(): Member | undefined {
    let best: Member | undefined;
    for (const member of this.#members) {
      if (member.state !== "shared" || member.connection.isFull) continue;
      if (
        best === undefined ||
        member.connection.inFlight < best.connection.inFlight
      ) best = member;
    }
    return best;
  }

  add(member: Member): void {
    this.#members.push(member);
  }

  /** Takes a member out; its state is `gone`. */
  remove(member: Member): void {
    this.#members.splice(this.#members.indexOf(member), 1);
    this.#heardAt = Math.max(this.#heardAt, member.connection.heardAt);
    member.enter("gone");
  }
}

/** They are replaced at most this often, in milliseconds: the next dial may lead to the wrong server again. */
const PAUSE_MS = 250;

/** Without a pause, all calls together would replace one new connection after the other. */
export class Replacement {
  #begunAt = -Infinity;

  /**
   * Whether a connection may be replaced now. One that was opened before others
   * were replaced always may.
   *
   * @param openedAt When it was opened, by `performance.now()`.
   * @param now The present, by `performance.now()`.
   */
  mayTake(openedAt: number, now: number): boolean {
    if (openedAt <= this.#begunAt) return true;
    if (now - this.#begunAt < PAUSE_MS) return false;
    this.#begunAt = now;
    return true;
  }
}
