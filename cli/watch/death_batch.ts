// Why connections ended, one after the other, however many ended at once.
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

/** A connection that has ended. */
export interface Dead {
  readonly connection: Connection;
  readonly report: CloseReport;
  readonly role: Role;
  /** How often it was used, in milliseconds. */
  readonly everyMs: number;
  /** How long it had been idle when it ended, or when it was used for the last time. */
  readonly idleMs: number;
  /** How much of that this process may have slept through, in milliseconds. */
  readonly frozenMs: number;
}

/** What was found out about it. */
export interface Finding {
  readonly dead: Dead;
  readonly verdict: Verdict;
}

/** The post-mortem remembers 32 looks at the server: more in a row would push out those from before. */
const LOOKS = 12;
/** From one look at the living to the next, at least, in milliseconds. */
const RENEW_MS = 15_000;

/** Finds out why connections to one endpoint ended. It sends INFO, CONFIG GET and CLIENT LIST. */
export class Coroner {
  readonly #postMortem = new PostMortem({ minIntervalMs: 0 });
  #renewedAt = -Infinity;

  /** Told at once of every end, also in a handshake: what the others do meanwhile is evidence. */
  ended(report: CloseReport, connection: Connection): void {
    this.#postMortem.noteEnd(report, connection);
  }

  /** Takes what the end of a fresh connection will be compared with. */
  admit(connection: Connection): void {
    this.#postMortem.takeBaseline(sourceOf(connection));
  }

  /** Looks again, now and then, on a connection that was used anyway: the less time, the fewer other clients that moved the numbers. */
  renew(connection: Connection): void {
    const now = performance.now();
    if (now - this.#renewedAt < RENEW_MS) return;
    this.#renewedAt = now;
    this.#postMortem.takeBaseline(sourceOf(connection));
  }

  /**
   * Looks into deaths of one moment. Never rejects.
   *
   * @param dead The connections that ended.
   * @param fresh An open connection, best one that was opened afterwards.
   */
  async examine(
    dead: readonly Dead[],
    fresh: Connection,
  ): Promise<Finding[]> {
    const findings: Finding[] = [];
    const kinds = [...Map.groupBy(dead, kindOf).values()];
    // One of each kind comes first, so that none goes without a look.
    const queue = [
      ...kinds.flatMap((kind) => kind.slice(0, 1)),
      ...kinds.flatMap((kind) => kind.slice(1)),
    ];
    for (const one of queue.slice(0, LOOKS)) {
      const verdict = await this.#look(one, fresh);
      findings.push({ dead: one, verdict });
    }
    for (const one of queue.slice(LOOKS)) {
      findings.push({ dead: one, verdict: likeAnother(one, findings) });
    }
    return findings;
  }

  async #look(dead: Dead, fresh: Connection): Promise<Verdict> {
    const { report, connection, frozenMs } = dead;
    // After a freeze the idle age comes from this process and from no limit,
    // as if it had ended the connection itself.
    const told = frozenMs > 0 ? { ...report, by: "client" as const } : report;
    const verdict = await this.#postMortem
      .investigate(told, connection, sourceOf(fresh));
    return typeof verdict === "string"
      ? unexamined(dead)
      : { ...verdict, report };
  }
}

/** The verdict on a death for which no server could be asked. */
export const unexamined = ({ report }: Dead): Verdict =>
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
const kindOf = ({ report: { how, during } }: Dead): string =>
  `${how} ${during}`;

/** Many that end at once end of the same cause, if they end in the same way. */
function likeAnother(dead: Dead, findings: readonly Finding[]): Verdict {
  const alike = findings.find((finding) =>
    kindOf(finding.dead) === kindOf(dead)
  );
  if (alike === undefined) return unexamined(dead);
  const { verdict, dead: { connection } } = alike;
  const note = `it ended together with connection ${connection.number}`;
  return verdictOf({
    ...verdict,
    report: dead.report,
    evidence: [...verdict.evidence, note],
  });
}
