// When the post-mortem of a pool runs: on the first shared connection after one that ended, or once another server has taken over.
import type { Command } from "../../resp/types.ts";
import { ask } from "../connection/in_flight.ts";
import type { CloseReport } from "../connection/close_report.ts";
import type { ConnectionFacts, PushRight } from "../connection/push_right.ts";
import type { Verdict } from "./verdict.ts";
import { PostMortem } from "./post_mortem.ts";

/** Runs the post-mortem of a pool's connections. */
export class PostMortemTrigger {
  readonly #postMortem: PostMortem;
  #ended: [CloseReport, ConnectionFacts] | undefined;
  #takeover: string | undefined;

  /** @param onVerdict Called with the verdict of each investigation. */
  constructor(onVerdict: (verdict: Verdict) => void) {
    this.#postMortem = new PostMortem({ onVerdict });
  }

  /** Notes that a connection ended; the first since the last dial is investigated. */
  onClose(report: CloseReport, connection: ConnectionFacts): void {
    const wasRequested = report.how === "requested" &&
      report.cause !== "readonly" && report.during !== "handshake";
    this.#postMortem.noteEnd(report, connection);
    if (wasRequested) return;
    this.#ended ??= [report, connection];
    this.#concludeTakeover();
  }

  /**
   * Notes that another server has taken this one's place, for good, so that no
   * connection to it will be opened that could be asked. What has ended, or else what ends
   * first, gets its verdict at once.
   *
   * @param evidence What has gone where, such as `"hash slots 0-5460 went to h:7004"`.
   */
  onTakeover(evidence: string): void {
    this.#takeover = evidence;
    this.#concludeTakeover();
  }

  /** Asks the server on a connection that was just opened and is shared. */
  onOpen(right: PushRight): void {
    const source = {
      connection: right.connection,
      ask: (command: Command) =>
        right.isRevoked ? undefined : ask(right, command),
    };
    this.#postMortem.takeBaseline(source);
    const ended = this.#ended;
    this.#ended = undefined;
    if (ended === undefined) return;
    this.#postMortem.investigate(...ended, source).then((found) => {
      if (found === "not-asked") this.#ended ??= ended;
    });
  }

  /** One verdict a takeover: what ends later has ended for the same reason. */
  #concludeTakeover(): void {
    const ended = this.#ended, evidence = this.#takeover;
    if (ended === undefined || evidence === undefined) return;
    this.#ended = this.#takeover = undefined;
    this.#postMortem.concludeTakeover(...ended, evidence);
  }

  /** Notes that this client is about to send CLIENT KILL for a connection that ended. */
  onFence(connection: ConnectionFacts): void {
    this.#postMortem.noteFence(connection);
  }
}
