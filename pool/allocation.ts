// Which connection a checkout gets, and when one is opened or reserved for it.
import type { PushRight } from "./connection/push_right.ts";
import type { Dialer } from "./dialer.ts";
import type { Liveness } from "./liveness.ts";
import type { Member, Members } from "./member.ts";
import type { CheckoutKind, Waiters } from "./waiters.ts";

/**
 * Shares out the connections of a pool.
 *
 * - Shared callers get the connection with the least in flight.
 * - A lease gets an idle one. In a full pool without any, the least loaded
 *   one is reserved for it: it takes nothing new until it is idle.
 * - Blocking commands leave one connection to callers that share.
 */
export class Allocation {
  readonly #members: Members;
  readonly #liveness: Liveness;
  readonly #waiters: Waiters;
  readonly #maxConnections: number;

  constructor(
    members: Members,
    liveness: Liveness,
    waiters: Waiters,
    maxConnections: number,
  ) {
    this.#members = members;
    this.#liveness = liveness;
    this.#waiters = waiters;
    this.#maxConnections = maxConnections;
  }

  /** Whether blocking commands have as many connections as they may. */
  get isBlockingFull(): boolean {
    return this.#blockingRoom <= 0;
  }

  /** The right to push on a connection, if there is one for such a checkout. */
  take(kind: CheckoutKind): PushRight | undefined {
    if (kind === "blocking" && this.isBlockingFull) return undefined;
    const member = this.#leastLoaded();
    if (kind === "shared" || member === undefined) return member?.right;
    return member.isIdle ? member.enter("leased") : undefined;
  }

  /** Opens connections for the callers that wait; where the pool is full, reserves one for a lease instead. */
  provide(dialer: Dialer): void {
    const { dialing } = dialer;
    const blocking = Math.min(
      this.#waiters.count("blocking"),
      Math.max(0, this.#blockingRoom),
    );
    const exclusive = this.#waiters.count("lease") + blocking;
    // A suspect that is about to answer its PING serves all that share.
    const needsShared = this.#waiters.count("shared") > 0 &&
      ![...this.#members].some((member) =>
        member.state === "suspect" && member.isAnsweringNow
      );
    const needed = exclusive + (needsShared ? 1 : 0) - dialing;
    const room = this.#maxConnections - this.#members.size - dialing;
    dialer.request(Math.min(needed, room));
    if (exclusive > 0 && needed > 0 && room <= 0) this.#reserve();
  }

  get #blockingRoom(): number {
    const most = Math.max(1, this.#maxConnections - 1);
    return most - this.#members.count("leased") -
      this.#members.count("reserved");
  }

  #reserve(): void {
    if (this.#members.count("reserved") > 0) return;
    this.#leastLoaded()?.enter("reserved");
  }

  /** The least loaded member that may take a command. Idle ones that may be dead become suspects. */
  #leastLoaded(): Member | undefined {
    while (true) {
      const member = this.#members.leastLoaded();
      if (member === undefined || !member.isIdle) return member;
      if (this.#liveness.isTrusted(member)) return member;
    }
  }
}
