// Post-mortems of connections that ended at the same moment, however many they are.
import type { CloseReport } from "../../pool/connection/close_report.ts";
import type { Connection } from "../../pool/connection/connection.ts";
import { PostMortem } from "../../pool/forensics/post_mortem.ts";
import { sourceOf } from "../../pool/forensics/server_probe.ts";
import {
  type Verdict,
  verdictOf,
  withoutCause,
} from "../../pool/forensics/verdict.ts";
import type { Role } from "./watch_slot.ts";

/** The end of a watched connection. */
export interface Death {
  readonly connection: Connection;
  readonly report: CloseReport;
  /** The number of its slot. */
  readonly slot: number;
  readonly role: Role;
  /** How often it was used, in milliseconds. */
  readonly everyMs: number;
  /** How long it had been idle when it ended, or when it was used for the last time, in milliseconds. */
  readonly idleMs: number;
  /** How much of that time this process may have been frozen, in milliseconds. */
  readonly frozenMs: number;
}

/** A death and its verdict. */
export interface ExaminedDeath {
  readonly death: Death;
  readonly verdict: Verdict;
}

/**
 * How many deaths of one moment are investigated. Each takes a snapshot of the
 * server, and the post-mortem keeps 32 of them: more in a row would push out
 * those from before the deaths.
 */
const INVESTIGATED = 12;
/** From one renewed baseline to the next, at least, in milliseconds. */
const RENEW_MS = 15_000;

/** Finds out why connections to one endpoint ended. It sends INFO, CONFIG GET and CLIENT LIST. */
export class BatchPostMortem {
  readonly #postMortem = new PostMortem({ minIntervalMs: 0 });
  #renewedAt = -Infinity;

  /** Notes an end, also one in a handshake. To be called at once: what the other connections do meanwhile is evidence. */
  noteEnd(report: CloseReport, connection: Connection): void {
    this.#postMortem.noteEnd(report, connection);
  }

  /** Takes the snapshot that the end of a fresh connection will be compared with. */
  takeBaseline(connection: Connection): void {
    this.#postMortem.takeBaseline(sourceOf(connection));
  }

  /**
   * Takes another snapshot now and then, on a connection that was just used: the
   * shorter the time to a death, the less other clients moved the counters.
   */
  renewBaseline(connection: Connection): void {
    const now = performance.now();
    if (now - this.#renewedAt < RENEW_MS) return;
    this.#renewedAt = now;
    this.takeBaseline(connection);
  }

  /**
   * Investigates deaths of one moment. Never rejects.
   *
   * @param deaths The deaths.
   * @param fresh An open connection, best one that was opened afterwards.
   */
  async investigate(
    deaths: readonly Death[],
    fresh: Connection,
  ): Promise<ExaminedDeath[]> {
    const examined: ExaminedDeath[] = [];
    const kinds = [...Map.groupBy(deaths, kindOf).values()];
    // One of each kind comes first, so that every kind is investigated.
    const queue = [
      ...kinds.flatMap((kind) => kind.slice(0, 1)),
      ...kinds.flatMap((kind) => kind.slice(1)),
    ];
    for (const death of queue.slice(0, INVESTIGATED)) {
      const verdict = await this.#investigateOne(death, fresh);
      examined.push({ death, verdict });
    }
    for (const death of queue.slice(INVESTIGATED)) {
      examined.push({ death, verdict: likeAnother(death, examined) });
    }
    return examined;
  }

  /**
   * Concludes why connections ended to a server that another one has replaced.
   * Nothing is asked.
   *
   * @param deaths The deaths.
   * @param evidence What has gone where, such as `"hash slots 0-5460 went to h:7004"`.
   */
  concludeTakeover(
    deaths: readonly Death[],
    evidence: string,
  ): ExaminedDeath[] {
    return deaths.map((death) => ({
      death,
      verdict: this.#postMortem
        .concludeTakeover(death.report, death.connection, evidence),
    }));
  }

  async #investigateOne(death: Death, fresh: Connection): Promise<Verdict> {
    const { report, connection, frozenMs } = death;
    // After a freeze of this process the idle age says nothing of a limit. The
    // rules ignore the idle age of what this client closed itself.
    const read = frozenMs > 0 ? { ...report, by: "client" as const } : report;
    const verdict = await this.#postMortem
      .investigate(read, connection, sourceOf(fresh));
    return typeof verdict === "string"
      ? unexamined(death)
      : { ...verdict, report };
  }
}

/** The verdict on a death for which no server could be asked. */
export const unexamined = ({ report }: Death): Verdict =>
  withoutCause({
    report,
    cause: undefined,
    causes: [],
    confidence: "none",
    evidence: [],
    lookedAt: ["the close report"],
    refused: [],
  }, "no server could be asked");

/** How a connection ended. */
const kindOf = ({ report: { how, during } }: Death): string =>
  `${how} ${during}`;

/** What ends at the same moment and in the same way has the same cause. */
function likeAnother(
  death: Death,
  examined: readonly ExaminedDeath[],
): Verdict {
  const alike = examined.find((other) => kindOf(other.death) === kindOf(death));
  if (alike === undefined) return unexamined(death);
  const { verdict, death: { connection } } = alike;
  const note = `it ended together with connection ${connection.number}`;
  return verdictOf({
    ...verdict,
    report: death.report,
    evidence: [...verdict.evidence, note],
  });
}
