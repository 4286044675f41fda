// Which death is looked into, and when: with the first connection after it.
import type { Command } from "../resp/mod.ts";
import type { CloseReport, Connection, Verdict } from "../pool/mod.ts";
import { say } from "../pool/handshake.ts";
import type { PostMortem } from "../pool/post_mortem.ts";

/** Brings deaths to the post-mortem, which is loaded only where it is asked for. */
export class Inquest {
  readonly #postMortem: Promise<PostMortem>;
  #dead: [CloseReport, Connection] | undefined;

  /** @param onVerdict Told what each look has found. */
  constructor(onVerdict: (verdict: Verdict) => void) {
    this.#postMortem = import("../pool/post_mortem.ts").then(
      ({ PostMortem }) => new PostMortem({ onVerdict }),
    );
  }

  /** A connection has ended. */
  closed(report: CloseReport, connection: Connection): void {
    const isOurWish = report.how === "requested" &&
      report.cause !== "readonly" && report.during !== "handshake";
    if (!isOurWish) this.#dead ??= [report, connection];
  }

  /** A connection was opened, and whoever waited for it has been served. */
  async opened(connection: Connection): Promise<void> {
    const postMortem = await this.#postMortem;
    const source = {
      connection,
      ask: (command: Command) => say(connection, command),
    };
    postMortem.baseline(source);
    const dead = this.#dead;
    this.#dead = undefined;
    if (dead !== undefined) await postMortem.investigate(...dead, source);
  }

  /** We are about to kill what may be left of a connection ourselves. */
  async fenced(connection: Connection): Promise<void> {
    (await this.#postMortem).fenced(connection);
  }
}
