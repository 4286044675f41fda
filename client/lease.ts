// A connection of one's own.
import { type Command, type Reply, ReplyError } from "../resp/mod.ts";
import { type Connection, ConnectionClosedError } from "../pool/mod.ts";
import { checkCommand } from "../resp/encode.ts";
import { noteAbort, noteAnswer } from "./fate.ts";
import { routeOf, upper } from "./routing.ts";
import { listener, type Origin } from "./telemetry.ts";

/** Options of {@linkcode Lease.send}. */
export interface LeaseSendOptions {
  /** Ends the wait. The connection is closed, since its state is unknown then. */
  signal?: AbortSignal | undefined;
  /** Bulk strings of the reply become `Uint8Array`. @default {false} */
  binary?: boolean | undefined;
}

/** Gives a connection back; `clean` if its state is as it was. */
type Release = (connection: Connection, clean: boolean) => void;

/**
 * A connection that nobody else uses until it is released: for MULTI, WATCH,
 * SELECT, CLIENT REPLY, blocking commands.
 *
 * - Nothing is retried or replayed: what a connection remembers dies with it.
 * - A connection that is not as it was (an open transaction, another
 *   database, …) is closed when released, never reused.
 *
 * @example A transaction
 * ```ts
 * import { Redis } from "@unzombie/redis";
 *
 * async function transfer(redis: Redis): Promise<void> {
 *   await using lease = await redis.lease();
 *   await lease.send(["MULTI"]);
 *   await lease.send(["DECRBY", "from", 5]);
 *   await lease.send(["INCRBY", "to", 5]);
 *   console.log(await lease.send(["EXEC"]));
 * }
 * console.log(typeof transfer);
 * ```
 */
export class Lease implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #origin: Origin | undefined;
  readonly #release: Release;
  #isReleased = false;
  #isChanged = false;
  #inTransaction = false;
  #isWatching = false;
  #replies: "on" | "off" | "skip" = "on";

  /** @ignore Made by `Redis.lease`. */
  constructor(
    connection: Connection,
    /** Where it leads to, unless its commands are told by somebody else. */
    origin: Origin | undefined,
    release: Release,
  ) {
    this.#connection = connection;
    this.#origin = origin;
    this.#release = release;
  }

  /**
   * Sends a command on this connection. Where CLIENT REPLY has turned replies
   * off, it resolves to `null` at once.
   *
   * @param command The command. SUBSCRIBE, MONITOR and SYNC are refused.
   * @param options See {@linkcode LeaseSendOptions}.
   * @returns The reply.
   * @throws {ReplyError} If the server answers an error.
   * @throws {ConnectionClosedError} If the connection ends first.
   * @throws {TypeError} If the command cannot be sent.
   */
  send(command: Command, options: LeaseSendOptions = {}): Promise<Reply> {
    return listener === undefined || this.#origin === undefined
      ? this.#send(command, options)
      : listener.trace(
        this.#origin,
        [command],
        false,
        () => this.#send(command, options),
      );
  }

  #send(command: Command, options: LeaseSendOptions): Promise<Reply> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#isReleased) {
        throw new TypeError(
          `Cannot send ${command[0]}: this lease was released`,
        );
      }
      checkCommand(command);
      const answered = this.#note(command);
      if (!answered) {
        this.#connection.pushUnanswered(command);
        return resolve(null);
      }
      const route = routeOf(command);
      let isDone = false;
      const onAbort = () => {
        this.#isChanged = true;
        noteAbort(signal?.reason);
        reject(signal?.reason);
        this.#connection.close("a command on a lease was aborted");
      };
      this.#connection.push({
        command,
        binary: options.binary === true,
        patienceMs: "patienceMs" in route ? route.patienceMs : 0,
        settle: (reply) => {
          isDone = true;
          signal?.removeEventListener("abort", onAbort);
          if (reply instanceof ReplyError) {
            // A DISCARD that was refused has ended no transaction.
            this.#isChanged ||= route.kind === "stateful";
            noteAnswer(command, reply);
            reject(reply);
          } else resolve(reply);
        },
        lose: ({ report, fate }) => {
          isDone = true;
          signal?.removeEventListener("abort", onAbort);
          reject(new ConnectionClosedError(report, fate));
        },
      });
      if (!isDone) signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Gives the connection back. Further sends are refused. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    const clean = !this.#isChanged && !this.#inTransaction &&
      !this.#isWatching && this.#replies === "on";
    this.#release(this.#connection, clean);
  }

  /** The same as {@linkcode Lease.release}. */
  [Symbol.asyncDispose](): Promise<void> {
    this.release();
    return Promise.resolve();
  }

  /** Keeps track of what the command does to the connection. False: it will not be answered. */
  #note(command: Command): boolean {
    const name = upper(command[0]);
    const route = routeOf(command);
    switch (name) {
      case "MULTI":
        this.#inTransaction = true;
        break;
      case "EXEC":
      case "DISCARD":
        this.#inTransaction = this.#isWatching = false;
        break;
      case "WATCH":
        this.#isWatching = true;
        break;
      case "UNWATCH":
        this.#isWatching = this.#inTransaction && this.#isWatching;
        break;
      default:
        if (route.kind !== "stateful") break;
        if (route.answers === "many") {
          throw new TypeError(
            `Cannot send ${name}: ${route.why}`,
          );
        }
        if (name === "CLIENT" && upper(command[1]) === "REPLY") {
          if (this.#inTransaction) {
            throw new TypeError(
              "Cannot send CLIENT REPLY: a transaction is open, send it before MULTI or after EXEC",
            );
          }
          return this.#noteReplyMode(upper(command[2]));
        }
        this.#isChanged = true;
    }
    if (this.#replies === "skip") {
      this.#replies = "on";
      return false;
    }
    return this.#replies === "on";
  }

  /** https://redis.io/docs/latest/commands/client-reply/: only ON is answered. */
  #noteReplyMode(mode: string): boolean {
    if (mode === "ON") this.#replies = "on";
    else if (mode === "OFF") this.#replies = "off";
    else if (mode === "SKIP") {
      if (this.#replies === "on") this.#replies = "skip";
    } else {
      throw new TypeError(
        `Cannot send CLIENT REPLY: mode ${
          JSON.stringify(mode)
        }, accepted are ON, OFF and SKIP`,
      );
    }
    return mode === "ON";
  }
}
