// A connection: a wire on which the n-th reply answers the n-th command.
import { ProtocolError, ReplyError } from "../../resp/errors.ts";
import type { HeadReader } from "../../resp/parser.ts";
import type { Command, Reply } from "../../resp/types.ts";
import type { Socket } from "../socket/socket.ts";
import type { CloseReport, PoolState } from "./close_report.ts";
import type { Fate } from "./fate.ts";
import type { Identity } from "./identity.ts";
import { InFlight, type Slot } from "./in_flight.ts";
import { printException } from "./print_exception.ts";
import { Wire, type WireFacts, type WireOptions } from "./wire.ts";

/** What is called when the state of a connection changes. */
export interface ConnectionObserver {
  /** Nothing is in flight any more. */
  onIdle?(connection: Connection): void;
  /** It was full, and has room again. */
  onRoom?(connection: Connection): void;
  /** It is about to write, and a reply has been owed for 20 ms: commands queue behind something slow. */
  onStall?(connection: Connection): void;
  /** What the report of its end says of its pool. */
  state?(): PoolState;
  /** It has ended. Called once, before the slots in flight are lost. */
  onClose?(connection: Connection, report: CloseReport): void;
}

/** Options of a {@linkcode Connection}. */
export interface ConnectionOptions extends WireOptions {
  /** `host:port`, for reports. */
  readonly endpoint: string;
  /** Sequence number of the connection within its pool, starting at 1. */
  readonly number: number;
  /** When its dial began, by `performance.now()`. @default {when it is made} */
  readonly dialedAt?: number;
  /** What is called when something happens to it. */
  readonly observer?: ConnectionObserver;
  /** Whether another one should take its place since its login ends soon. @default {never} */
  readonly isLoginDue?: (() => boolean) | undefined;
}

/** What takes all that comes on a connection on which a server sends what no command has asked for. */
export interface Receiver {
  /** Whether bulk strings become bytes; asked for each reply. */
  readonly binary: boolean;
  /**
   * A reply has come. What is thrown ends the connection.
   *
   * @param reply The reply.
   * @param first The command that has been in flight for longest, if any is.
   * @returns Whether that command has all of its replies.
   */
  receive(reply: Reply, first: Slot | undefined): boolean;
  /** Recognises replies of which the last element says all. */
  readonly head: HeadReader;
  /** The last element of a reply has come whose other elements were recognised. */
  receiveBehind(value: string | Uint8Array): void;
  /** All that has come so far was taken, or the connection is held. */
  onTaken(): void;
}

/** The most of a command's name that a report repeats, in characters. */
const MAX_NAME = 64;

/**
 * An open connection: a wire on which the n-th reply answers the n-th command.
 *
 * - A slot is in flight from the moment it is pushed until it is resolved or lost.
 * - Each slot is resolved or lost, once.
 * - A reply that no command is owed ends the connection.
 * - The handshake and the introduction are in no count.
 * - When the connection ends, the observer is called first, then the slots in
 *   flight are lost, in their order. Nothing is resolved afterwards, and a slot
 *   that is pushed afterwards is lost at once.
 * - What a slot or an observer throws reaches no other slot.
 */
export class Connection {
  /** Sequence number of the connection within its pool, starting at 1. */
  readonly number: number;

  readonly #wire: Wire;
  readonly #options: ConnectionOptions;
  readonly #inFlight = new InFlight();
  #introduction: readonly Slot[] = []; // goes before the first command
  #replies = 0;
  #uncounted = 0; // how many of the replies are to the handshake and the introduction
  #identity: Identity | undefined;
  #dialMs = 0;
  #receiver: Receiver | undefined;

  /**
   * Takes over a socket and arms its read.
   *
   * @param socket An open socket. The connection owns it from now on.
   * @param options See {@linkcode ConnectionOptions}.
   */
  constructor(socket: Socket, options: ConnectionOptions) {
    this.number = options.number;
    this.#options = options;
    this.#wire = new Wire(socket, options, {
      unanswered: this.#inFlight,
      extraReplyTimeoutMs: () =>
        this.#inFlight.first()?.extraReplyTimeoutMs ?? 0,
      onBytes: () =>
        this.#receiver === undefined
          ? this.#takeReplies()
          : this.#receiveAll(this.#receiver),
      onRoom: () => this.#notify("onRoom"),
      onStall: () => this.#notify("onStall"),
      makeReport: (facts) => this.#makeReport(facts),
      onEnd: (report, unwritten) => this.#loseAll(report, unwritten),
    });
    this.#wire.start();
  }

  /** When it was opened, by `performance.now()`. */
  get openedAt(): number {
    return this.#wire.openedAt;
  }

  /** How it ended, or `undefined` while it is open. */
  get report(): CloseReport | undefined {
    return this.#wire.report;
  }

  /** Commands that have no reply yet. */
  get inFlight(): number {
    return Math.max(0, this.#inFlight.length - this.#introducing);
  }

  /** Whether more commands should go elsewhere, or wait. */
  get isFull(): boolean {
    return this.#wire.isFull;
  }

  /** Commands answered since the handshake. */
  get served(): number {
    return Math.max(0, this.#replies - this.#uncounted);
  }

  /** What the server said in the handshake; `undefined` before it. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** Whether another one should take its place since its login ends soon. */
  get isLoginDue(): boolean {
    return this.#options.isLoginDue?.() ?? false;
  }

  /** When a byte last came or a command was last written, by `performance.now()`. */
  get lastByteAt(): number {
    return this.#wire.lastByteAt;
  }

  /** When a byte last came, by `performance.now()`. */
  get heardAt(): number {
    return this.#wire.heardAt;
  }

  /** How long a reply has been owed without a byte, beyond what its command may take, in milliseconds; 0 if none is. */
  silentMs(now: number): number {
    const extraMs = this.#inFlight.first()?.extraReplyTimeoutMs ?? 0;
    return Math.max(0, this.#wire.owedMs(now) - extraMs);
  }

  /** How long a reply has been owed without a byte, whatever its command may take, in milliseconds; 0 if none is. */
  owedMs(now: number): number {
    return this.#wire.owedMs(now);
  }

  /** What it took to open it, from the dial to the end of the handshake, in milliseconds. */
  get dialMs(): number {
    return this.#dialMs;
  }

  /**
   * The handshake is over: the replies so far do not count.
   *
   * @param identity What the server said in it.
   * @param introduction What goes before the first command, in the same write. It is in no count.
   */
  established(identity: Identity, introduction: readonly Slot[] = []): void {
    this.#identity = identity;
    this.#introduction = introduction;
    this.#uncounted = this.#replies;
    const { dialedAt = this.openedAt } = this.#options;
    this.#dialMs = performance.now() - dialedAt;
  }

  /**
   * Puts a command in flight. It is written by the end of the turn.
   *
   * @param slot The command, and what to do with its reply.
   * @throws {TypeError} If the command cannot be encoded; nothing has happened then.
   */
  push(slot: Slot): void {
    const { report } = this.#wire;
    if (report !== undefined) return this.#lose(slot, report, "unsent", true);
    if (this.#introduction.length > 0) this.#introduce();
    this.#gather(slot);
    this.#wire.schedule();
  }

  /**
   * Sends a command that the server will not answer (CLIENT REPLY OFF or SKIP came before).
   *
   * @throws {TypeError} If the command cannot be encoded.
   */
  pushUnanswered(command: Command): void {
    if (this.report !== undefined) return;
    if (this.#introduction.length > 0) this.#introduce();
    this.#wire.gather(command, false);
    this.#wire.schedule();
  }

  /**
   * From now on, and for good, a receiver takes whatever comes: a slot in flight
   * is not resolved then, but lost with the connection. Nothing may be in flight.
   */
  receiveBy(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  /** Stops reading, from within a receiver: see {@linkcode Wire.hold}. */
  hold(): void {
    this.#wire.hold();
  }

  /** Reads again. */
  resume(): void {
    this.#wire.resume();
  }

  /** Ends it now. Slots in flight are lost. */
  close(cause = "closed by the caller"): void {
    this.#wire.end({ by: "client", how: "requested", cause });
  }

  /** Ends it because its peer did not answer in time. */
  timeOut(cause: string): void {
    this.#wire.end({ by: "network", how: "silence", cause });
  }

  #gather(slot: Slot): void {
    this.#wire.gather(slot.command);
    this.#inFlight.push(slot);
  }

  #introduce(): void {
    this.#uncounted += this.#introduction.length;
    for (const slot of this.#introduction) this.#gather(slot);
    this.#introduction = [];
  }

  /** How many slots at the head of those in flight are of the introduction. */
  get #introducing(): number {
    return Math.max(0, this.#uncounted - this.#replies);
  }

  #takeReplies(): void {
    while (this.report === undefined) {
      if (!this.#wire.isReplyOwed) return this.#tookAll();
      const slot = this.#inFlight.first()!;
      const reply = this.#wire.next(slot.binary);
      if (reply === undefined) return this.#wire.signalRoom();
      this.#inFlight.shift();
      this.#replies++;
      try { // costs nothing that can be measured
        slot.resolve(reply);
      } catch (error) {
        printException("the receiver of a reply", error);
      }
      // The timer was set for a reply that might take longer than others.
      if (slot.extraReplyTimeoutMs > 0 && this.#inFlight.length > 0) {
        this.#wire.shortenTimer();
      }
    }
  }

  #receiveAll(receiver: Receiver): void {
    while (this.report === undefined && !this.#wire.isHeld) {
      const value = this.#wire.nextBehind(receiver.head, receiver.binary);
      if (value !== undefined) {
        receiver.receiveBehind(value);
        continue;
      }
      const reply = this.#wire.next(receiver.binary);
      if (reply === undefined) break;
      if (!receiver.receive(reply, this.#inFlight.first())) continue;
      this.#inFlight.shift();
      this.#replies++;
      if (this.#inFlight.length === 0) this.#wire.noneOwed();
    }
    this.#wire.signalRoom();
    receiver.onTaken();
  }

  /** Every reply that was owed has come: a byte beyond them ends the connection. */
  #tookAll(): void {
    if (this.#wire.bytesLeft > 0) {
      const reply = this.#wire.next();
      throw new ProtocolError(
        reply instanceof ReplyError
          ? `Unasked error reply: ${reply.message}`
          : "Unasked bytes: they came when no reply was owed",
      );
    }
    // Before the observer is called: a command that it pushes has the whole reply timeout.
    if (this.#inFlight.length === 0) this.#wire.noneOwed();
    this.#wire.signalRoom();
    if (this.#inFlight.length === 0) this.#notify("onIdle");
  }

  #notify(what: "onIdle" | "onRoom" | "onStall"): void {
    try {
      this.#options.observer?.[what]?.(this);
    } catch (error) {
      printException(`${what} of a connection`, error);
    }
  }

  #loseAll(report: CloseReport, unwritten: number): void {
    try {
      this.#options.observer?.onClose?.(this, report);
    } catch (error) {
      printException("onClose of a connection", error);
    }
    const lost = this.#inFlight.clear();
    const written = lost.length - unwritten;
    lost.forEach((slot, i) => {
      try {
        this.#lose(
          slot,
          report,
          i < written ? "unknown" : "unsent",
          i > 0 || report.replyBytes === 0,
        );
      } catch (error) {
        printException("the loss of a command", error);
      }
    });
  }

  #lose(
    slot: Slot,
    report: CloseReport,
    fate: Fate,
    untouched: boolean,
  ): void {
    slot.lose({ report, fate, untouched, openedAt: this.openedAt });
  }

  #makeReport(
    { by, how, cause, isWriting, isReplyOwed, ...facts }: WireFacts,
  ): CloseReport {
    const first = this.#inFlight.at(this.#introducing);
    return {
      by,
      how,
      during: this.#identity === undefined
        ? "handshake"
        : facts.replyBytes > 0
        ? "inside-reply"
        : isReplyOwed
        ? "awaiting-reply"
        : isWriting
        ? "writing"
        : "idle",
      cause,
      endpoint: this.#options.endpoint,
      connection: this.number,
      clientId: this.#identity?.clientId,
      ...facts,
      commandsServed: this.served,
      inFlight: this.inFlight,
      firstInFlight: first === undefined ? undefined : {
        name: first.command[0].slice(0, MAX_NAME),
        args: first.command.length - 1,
      },
      pool: this.#options.observer?.state?.(),
    };
  }
}
