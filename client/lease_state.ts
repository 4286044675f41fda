// What a lease has changed about its connection, and which commands the server will answer.
import type { Command } from "../resp/types.ts";
import { routeOf } from "./commands/routing.ts";
import { upper } from "./commands/words.ts";

/** What CLIENT REPLY is set to: https://redis.io/docs/latest/commands/client-reply/ */
export type ReplyMode = "on" | "off" | "skip";

const MODES: ReadonlyMap<string, ReplyMode> = new Map([
  ["ON", "on"],
  ["OFF", "off"],
  ["SKIP", "skip"],
]);

/** The state of a leased connection, as far as its commands show. */
export class LeaseState {
  #isChanged = false;
  #inTransaction = false;
  #isWatching = false;
  #replies: ReplyMode = "on";

  /** Whether the connection is as the handshake left it. */
  get isClean(): boolean {
    return !this.#isChanged && !this.#inTransaction && !this.#isWatching &&
      this.#replies === "on";
  }

  /** Whether a command is answered by what it does: not while replies are off or a transaction queues it. */
  get isAnswering(): boolean {
    return this.#replies === "on" && !this.#inTransaction;
  }

  /** The state of the connection is not known any more. */
  markChanged(): void {
    this.#isChanged = true;
  }

  /**
   * A command is about to be sent.
   *
   * @returns Whether the server will answer it.
   * @throws {TypeError} If it cannot be sent in this state.
   */
  note(command: Command): boolean {
    const mode = replyModeOf(command);
    if (mode !== undefined) return this.#noteReplyMode(mode);
    const route = routeOf(command);
    if (route.kind === "refused") {
      throw new TypeError(`Cannot send ${upper(command[0])}: ${route.why}`);
    }
    switch (route.kind === "stateful" ? route.changes : undefined) {
      case "opens a transaction":
        this.#inTransaction = true;
        break;
      case "ends the transaction":
        this.#inTransaction = this.#isWatching = false;
        break;
      case "watches keys":
        this.#isWatching = true;
        break;
      case "watches no key":
        this.#isWatching = this.#inTransaction && this.#isWatching;
        break;
      case "resets":
        // It would be answered if it ran, and not if it is refused.
        if (this.#replies !== "on") {
          throw new TypeError(
            "Cannot send RESET: replies are turned off, send CLIENT REPLY ON first",
          );
        }
        this.#isChanged = true;
        break;
      case "settings":
        this.#isChanged = true;
    }
    if (this.#replies === "skip") {
      this.#replies = "on";
      return false;
    }
    return this.#replies === "on";
  }

  /** @throws {TypeError} If CLIENT REPLY would be queued by an open transaction. */
  assertMayMute(): void {
    if (!this.#inTransaction) return;
    throw new TypeError(
      "Cannot send CLIENT REPLY: a transaction is open, send it before MULTI or after EXEC",
    );
  }

  /** Only ON is answered, whatever the mode before it was. */
  #noteReplyMode(mode: ReplyMode): boolean {
    this.assertMayMute();
    if (mode === "on") {
      this.#replies = "on";
      return true;
    }
    // A connection that once answered some commands and not others is not shared again.
    this.#isChanged = true;
    if (mode === "off" || this.#replies === "on") this.#replies = mode;
    return false;
  }
}

/**
 * The mode that a command switches to; `undefined` if it is not CLIENT REPLY.
 *
 * @throws {TypeError} If it is CLIENT REPLY with another mode.
 */
export function replyModeOf(command: Command): ReplyMode | undefined {
  const route = routeOf(command);
  if (route.kind !== "stateful" || route.changes !== "replies") {
    return undefined;
  }
  const mode = MODES.get(upper(command[2]));
  if (command.length === 3 && mode !== undefined) return mode;
  throw new TypeError(
    `Cannot send CLIENT REPLY: expected one mode, ON, OFF or SKIP, got ${
      JSON.stringify(command.slice(2).map(upper).join(" "))
    }`,
  );
}
