// Finds out why a connection of the proof was closed, on a connection that stays open.
import { delay } from "@std/async/delay";
import type { CloseReport, Verdict } from "../../mod.ts";
import { ask } from "../../pool/connection/in_flight.ts";
import type { Connection } from "../../pool/connection/connection.ts";
import { PostMortem } from "../../pool/forensics/post_mortem.ts";
import { sourceOf } from "../../pool/forensics/server_probe.ts";
import type { Server } from "./server.ts";

/** The part of a verdict that is printed. */
export type ShortVerdict = Pick<Verdict, "confidence" | "text"> & {
  readonly cause: Verdict["cause"] | null;
};

/** A connection that stays open and asks the server before and after a kill. */
export class Observer implements Disposable {
  readonly #connection: Connection;
  readonly #postMortem = new PostMortem({ minIntervalMs: 0 });

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Opens the connection. */
  static async of(
    server: Server,
    clientName: string,
    signal: AbortSignal,
  ): Promise<Observer> {
    return new Observer(await server.open({ clientName }, signal));
  }

  /** Takes a snapshot of the server before a connection is killed. Never rejects. */
  async takeBaseline(): Promise<void> {
    this.#postMortem.takeBaseline(sourceOf(this.#connection));
    // Replies come in order, so this one comes after those of the snapshot.
    await ask(this.#connection, ["PING"]).catch(() => {});
    await delay(0);
  }

  /** Takes another snapshot, and concludes. Never rejects. */
  async investigate(report: CloseReport): Promise<ShortVerdict | null> {
    const connection = this.#connection;
    // The killed connection was never asked, so the snapshots of this one are compared.
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
