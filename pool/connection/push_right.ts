// The right to push on a connection: one holder at a time.
import type { Command } from "../../resp/types.ts";
import type { CloseReport } from "./close_report.ts";
import type { Connection } from "./connection.ts";
import type { Identity } from "./identity.ts";
import type { Slot } from "./in_flight.ts";

/** What may be known of a connection by code that may not push on it. */
export interface ConnectionFacts {
  /** Sequence number of the connection within its pool, starting at 1. */
  readonly number: number;
  /** When it was opened, by `performance.now()`. */
  readonly openedAt: number;
  /** What the server said in the handshake; `undefined` before its end. */
  readonly identity: Identity | undefined;
  /** How it ended, or `undefined` while it is open. */
  readonly report: CloseReport | undefined;
  /** When a byte last came, by `performance.now()`. */
  readonly heardAt: number;
  /** Whether another one should take its place since its login ends soon. */
  readonly isLoginDue: boolean;
  /** What it took to open it, from the dial to the end of the handshake, in milliseconds. */
  readonly dialMs: number;
}

/** A push by a holder whose right was revoked. Nothing was sent. */
export class RevokedError extends Error {
  /** Always `"RevokedError"`. */
  override readonly name = "RevokedError";
  /** Always `"unsent"`. */
  readonly fate = "unsent";
}

/**
 * The right to push commands on one connection.
 *
 * The pool hands it out: one right to all callers that share a connection, a
 * right of its own to each lease. When the connection changes hands the pool
 * revokes it, so code that kept it over an `await` cannot write into the
 * transaction of the next holder.
 */
export class PushRight {
  /** The connection, to be looked at. */
  readonly connection: ConnectionFacts;
  readonly #target: Connection;
  #isRevoked = false;

  /**
   * Makes the right. Only the pool does that, or the owner of a connection that is in no pool.
   *
   * @param connection The connection that the holder may push on.
   */
  constructor(connection: Connection) {
    this.connection = connection;
    this.#target = connection;
  }

  /** Whether the connection has another holder by now. */
  get isRevoked(): boolean {
    return this.#isRevoked;
  }

  /** Ends the right. Only the pool does that. */
  revoke(): void {
    this.#isRevoked = true;
  }

  /**
   * Puts a command in flight; see {@linkcode Connection.push}.
   *
   * @param slot The command, and what to do with its reply.
   * @throws {RevokedError} If the connection has another holder by now.
   * @throws {TypeError} If the command cannot be encoded.
   */
  push(slot: Slot): void {
    this.#assertHeld();
    this.#target.push(slot);
  }

  /**
   * Sends a command that the server will not answer.
   *
   * @param command The command.
   * @throws {RevokedError} If the connection has another holder by now.
   * @throws {TypeError} If the command cannot be encoded.
   */
  pushUnanswered(command: Command): void {
    this.#assertHeld();
    this.#target.pushUnanswered(command);
  }

  /** Closes the connection; without effect once the right was revoked. */
  close(cause: string): void {
    if (!this.#isRevoked) this.#target.close(cause);
  }

  #assertHeld(): void {
    if (this.#isRevoked) {
      throw new RevokedError(
        `Cannot push on connection ${this.connection.number}: it was handed to another holder`,
      );
    }
  }
}
