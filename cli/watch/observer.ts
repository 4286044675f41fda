// Why a connection died, from what another one sees of the server before and after.
import { delay } from "@std/async/delay";
import type { CloseReport, Verdict } from "../../mod.ts";
import type { Connection } from "../../pool/connection/connection.ts";
import { ask } from "../../pool/connection/ask.ts";
import { PostMortem } from "../../pool/forensics/post_mortem.ts";
import { sourceOf } from "../../pool/forensics/server_probe.ts";
import type { Server } from "../server.ts";

/** The part of a verdict that is shown. */
export type Why = Pick<Verdict, "confidence" | "text"> & {
  readonly cause: Verdict["cause"] | null;
};

/** A connection that lives on. */
export class Witness implements Disposable {
  readonly #connection: Connection;
  readonly #postMortem = new PostMortem({ minIntervalMs: 0 });

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  static async of(
    server: Server,
    clientName: string,
    signal: AbortSignal,
  ): Promise<Witness> {
    return new Witness(await server.open({ clientName }, signal));
  }

  /** Looks at the server before a connection is killed. Never rejects. */
  async before(): Promise<void> {
    this.#postMortem.takeBaseline(sourceOf(this.#connection));
    // Replies come in order, so this one comes after those of the baseline.
    await ask(this.#connection, ["PING"]).catch(() => {});
    await delay(0);
  }

  /** Looks again, and tells why. Never rejects. */
  async why(report: CloseReport): Promise<Why | null> {
    const connection = this.#connection;
    // What is compared is what this connection saw: the dead one was not asked.
    const verdict = await this.#postMortem
      .investigate(report, connection, sourceOf(connection));
    if (typeof verdict === "string") return null;
    const { cause = null, confidence, text } = verdict;
    return { cause, confidence, text };
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}
