// The moments at which connections ended: what ended together, and the same again and again.
import { duration } from "../../pool/connection/quantities.ts";
import type { DeathEvent } from "../watch/json_lines.ts";

/** Deaths of one moment that have the same cause, or ended in the same way where there is none. */
export interface Kind {
  readonly cause: string | null;
  readonly confidence: DeathEvent["confidence"];
  readonly how: string;
  readonly during: string;
  /** The verdict of the first of them. */
  readonly outcome: string;
  readonly advice: string | null;
  deaths: number;
  /** The connections, as far as they are listed. */
  readonly connections: number[];
  idleMs: Range;
  /** How much of the idle time this process may have been frozen, at most, in milliseconds. */
  frozenMs: number;
}

/** From the least to the most, in milliseconds. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** A moment, or several alike in a row. */
export interface Moment {
  /** Its number, starting at 1. */
  readonly id: number;
  /** The server, `host:port`. */
  readonly node: string;
  /** Of the first death, as a Unix time in milliseconds. */
  readonly from: number;
  /** Of the last one. */
  to: number;
  /** How many moments: more than 1 if they are alike. */
  times: number;
  readonly kinds: Kind[];
}

/** How many connections a kind lists. */
const MOST_LISTED = 20;
/** How many moments are kept in full. */
const MOST_KEPT = 200;

/** Groups deaths by moment. Memory is bounded: moments alike are one, and the oldest of very many are only counted. */
export class Moments {
  readonly #all: Moment[] = [];
  readonly #open = new Map<
    string,
    { readonly event: number; moment: Moment }
  >();
  #count = 0;
  #left = { moments: 0, deaths: 0 };

  /** The moments that are kept, in their order. */
  get all(): readonly Moment[] {
    return this.#all;
  }

  /** How many moments there were. */
  get count(): number {
    return this.#count;
  }

  /** What is not kept any more. */
  get left(): { readonly moments: number; readonly deaths: number } {
    return this.#left;
  }

  /** Adds a death. */
  add(death: DeathEvent): void {
    const { node, event } = death;
    const open = this.#open.get(node);
    if (open?.event === event) {
      addTo(open.moment, death);
      return;
    }
    this.#mergeLast(node);
    const at = Date.parse(death.at);
    const id = ++this.#count;
    const moment: Moment = { id, node, from: at, to: at, times: 1, kinds: [] };
    addTo(moment, death);
    this.#all.push(moment);
    this.#open.set(node, { event, moment });
    if (this.#all.length > MOST_KEPT) this.#leaveOldest();
  }

  /** The last moment of a server is whole: it becomes one with that before it if they are alike. */
  #mergeLast(node: string): void {
    const ofNode = this.#all.filter((moment) => moment.node === node);
    const [before, last] = ofNode.slice(-2);
    if (before === undefined || last === undefined) return;
    if (keyOf(before) !== keyOf(last)) return;
    before.to = last.to;
    before.times += last.times;
    last.kinds.forEach((kind, i) => {
      const into = before.kinds[i]!;
      into.deaths += kind.deaths;
      into.idleMs = {
        min: Math.min(into.idleMs.min, kind.idleMs.min),
        max: Math.max(into.idleMs.max, kind.idleMs.max),
      };
      into.frozenMs = Math.max(into.frozenMs, kind.frozenMs);
      list(into, kind.connections);
    });
    this.#all.splice(this.#all.indexOf(last), 1);
  }

  #leaveOldest(): void {
    const { times, kinds } = this.#all.shift()!;
    this.#left = {
      moments: this.#left.moments + times,
      deaths: this.#left.deaths +
        kinds.reduce((sum, { deaths }) => sum + deaths, 0),
    };
  }
}

function addTo(moment: Moment, death: DeathEvent): void {
  const { cause, confidence, how, during, outcome, advice } = death;
  const { idleMs, frozenMs, connection } = death;
  moment.to = Math.max(moment.to, Date.parse(death.at));
  const kind = moment.kinds.find((kind) =>
    kind.cause === cause && kind.confidence === confidence &&
    (cause !== null || kind.how === how && kind.during === during)
  );
  if (kind === undefined) {
    moment.kinds.push({
      ...{ cause, confidence, how, during, outcome, advice },
      ...{ deaths: 1, connections: [connection], frozenMs },
      idleMs: { min: idleMs, max: idleMs },
    });
    return;
  }
  kind.deaths++;
  kind.idleMs = {
    min: Math.min(kind.idleMs.min, idleMs),
    max: Math.max(kind.idleMs.max, idleMs),
  };
  kind.frozenMs = Math.max(kind.frozenMs, frozenMs);
  list(kind, [connection]);
}

function list(kind: Kind, connections: readonly number[]): void {
  const room = MOST_LISTED - kind.connections.length;
  kind.connections.push(...connections.slice(0, room));
}

/** What makes two moments alike. */
const keyOf = ({ kinds }: Moment): string =>
  JSON.stringify(
    kinds.map((
      { cause, confidence, how, during, advice, frozenMs },
    ) => [cause, confidence, how, during, advice, frozenMs > 0]),
  );

/** How many connections ended at a moment. */
export const deathsOf = ({ kinds }: Moment): number =>
  kinds.reduce((sum, { deaths }) => sum + deaths, 0);

/** A range in words: `3.1 s to 3.8 s`. */
export function rangeOf({ min, max }: Range): string {
  const [from, to] = [duration(min), duration(max)];
  return from === to ? from : `${from} to ${to}`;
}
