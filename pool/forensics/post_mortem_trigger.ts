// When the post-mortem runs: with the first shared connection after a death.
import type { Command } from "../../resp/mod.ts";
import { complain } from "../socket/complain.ts";
import { ask } from "../connection/ask.ts";
import type { CloseReport } from "../connection/close_report.ts";
import type { ConnectionFacts, PushRight } from "../connection/push_right.ts";
import type { Verdict } from "./diagnose.ts";
import type { PostMortem } from "./post_mortem.ts";

/** Brings deaths to the post-mortem, which is loaded only where it is asked for. */
export class Inquest {
  /**
   * Resolves when the post-mortem is loaded; never rejects. Dials wait for
   * it: what it asks must be pushed while the new connection is still shared.
   */
  readonly ready: Promise<void>;
  #postMortem: PostMortem | undefined;
  #dead: [CloseReport, ConnectionFacts] | undefined;

  /** @param onVerdict Called with what each look has found. */
  constructor(onVerdict: (verdict: Verdict) => void) {
    this.ready = import("./post_mortem.ts").then(
      ({ PostMortem }) => {
        this.#postMortem = new PostMortem({ onVerdict });
      },
    ).catch((error) => complain("postMortem of Redis", error));
  }

  /** A connection has ended. */
  closed(report: CloseReport, connection: ConnectionFacts): void {
    const wasRequested = report.how === "requested" &&
      report.cause !== "readonly" && report.during !== "handshake";
    this.#postMortem?.ended(report, connection);
    if (!wasRequested) this.#dead ??= [report, connection];
  }

  /** A connection was opened, and is shared. */
  opened(right: PushRight): void {
    const source = {
      connection: right.connection,
      ask: (command: Command) =>
        right.isRevoked ? undefined : ask(right, command),
    };
    this.#postMortem?.baseline(source);
    const dead = this.#dead;
    this.#dead = undefined;
    if (dead === undefined) return;
    this.#postMortem?.investigate(...dead, source).then((found) => {
      if (found === "not-asked") this.#dead ??= dead;
    });
  }

  /** The client itself is about to kill what may be left of a connection. */
  fenced(connection: ConnectionFacts): void {
    this.#postMortem?.fenced(connection);
  }
}
