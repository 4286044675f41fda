// The open connections of a pool, by state.
import type { ConnectionFacts, PushRight } from "./connection/push_right.ts";
import type { Member, MemberState } from "./member.ts";

/** The members of a pool, in the order in which they were opened. */
export class Members implements Iterable<Member> {
  readonly #members: Member[] = [];

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
    member.enter("gone");
  }
}
