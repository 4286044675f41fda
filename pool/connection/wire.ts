// A wire: an open socket that is read and written until it ends, once.
import { ProtocolError } from "../../resp/errors.ts";
import type { ParserLimits } from "../../resp/limits.ts";
import { type HeadReader, ReplyParser } from "../../resp/parser.ts";
import type { Command, Reply } from "../../resp/types.ts";
import { runtime } from "../socket/runtime.ts";
import { mask } from "../socket/secrets.ts";
import type { Socket } from "../socket/socket.ts";
import { socketErrorOf } from "../socket/socket_error.ts";
import type { CloseReport } from "./close_report.ts";
import { ReplyTimer } from "./reply_timer.ts";
import { WriteScheduler } from "./write_scheduler.ts";

/** A reply owed for this long means that commands queue behind something slow. */
const STALL_MS = 20;

/**
 * Microtasks in which a caller that was answered may send its next command
 * before the next read is armed, so that the server works meanwhile: with one
 * command at a time 1.1 times the commands a second.
 */
const MICROTASKS_BEFORE_READ = 8;

/** Options of a {@linkcode Wire}. */
export interface WireOptions {
  /** How long a reply may be owed without a byte coming or going, in milliseconds. */
  readonly replyTimeoutMs: number;
  /** What must not stand in a report: the password. */
  readonly secret?: string | undefined;
  /** The largest reply to accept. */
  readonly limits?: ParserLimits;
  /** Whether bytes may be overwritten once their write is over: not if the socket may still hold them in a buffer of its own. @default {false} */
  readonly reusesBytes?: boolean;
}

/** How a wire ended, and the text that says more. */
type Ending = Pick<CloseReport, "by" | "how"> & { cause?: string };

/** What a wire contributes to the report of its end. */
export interface WireFacts extends
  Pick<
    CloseReport,
    | "by"
    | "how"
    | "cause"
    | "closedAt"
    | "ageMs"
    | "idleMs"
    | "silentMs"
    | "owedMs"
    | "bytesIn"
    | "bytesOut"
    | "replyBytes"
  > {
  /** Whether a write was pending. */
  readonly isWriting: boolean;
  /** Whether a reply was owed to what had been written. */
  readonly isReplyOwed: boolean;
}

/** What uses a wire: it says which replies are owed, and takes them. */
export interface WireUser {
  /** The commands that are owed a reply, whether written or not. */
  readonly unanswered: { readonly length: number };
  /** How much longer than the reply timeout the next reply may take, in milliseconds. */
  readonly extraReplyTimeoutMs: () => number;
  /** Bytes have come: take the replies with {@linkcode Wire.next}. What is thrown ends the wire. */
  readonly onBytes: () => void;
  /** It was full, and has room again. */
  readonly onRoom: () => void;
  /** It is about to write, and a reply has been owed for {@linkcode STALL_MS}. */
  readonly onStall: () => void;
  /** It ends: makes the report. Called first of all. */
  readonly makeReport: (facts: WireFacts) => CloseReport;
  /** It has ended; `unwritten` of the unanswered commands had not been handed to the socket. */
  readonly onEnd: (report: CloseReport, unwritten: number) => void;
}

/**
 * An open socket with its buffers and its timer. Which reply belongs to which
 * command is the business of its user.
 *
 * - A read is armed by the end of each turn, so a close is seen while idle, too.
 * - The process is kept alive by the reply timer, not by the read.
 * - It ends once: the first cause wins. Nothing is written, read or called afterwards.
 * - When it ends the order is: report, socket closed, buffers dropped, user told.
 */
export class Wire {
  /** When it was opened, by `performance.now()`. */
  readonly openedAt: number = performance.now();

  readonly #socket: Socket;
  readonly #user: WireUser;
  readonly #secret: string | undefined;
  readonly #writes: WriteScheduler;
  readonly #timer: ReplyTimer;
  #parser: ReplyParser;
  #bytesIn = 0;
  #replies = 0;
  #heardAt: number = this.openedAt;
  #held: PromiseWithResolvers<void> | undefined; // settles when it is read again
  #report: CloseReport | undefined;

  /**
   * Takes over a socket. Nothing is read before {@linkcode start}.
   *
   * @param socket An open socket. The wire owns it from now on.
   * @param options See {@linkcode WireOptions}.
   * @param user What uses it.
   */
  constructor(socket: Socket, options: WireOptions, user: WireUser) {
    this.#socket = socket;
    this.#user = user;
    this.#secret = options.secret;
    this.#parser = new ReplyParser(options.limits, runtime.keepsLastReply);
    this.#timer = new ReplyTimer(
      options.replyTimeoutMs,
      user.extraReplyTimeoutMs,
      (cause) => this.end({ by: "network", how: "silence", cause }),
    );
    this.#writes = new WriteScheduler(
      socket,
      user.unanswered,
      options.reusesBytes ?? false,
      {
        onWrite: () => this.#noteStall(),
        onPartialWrite: () => this.#timer.partWritten(performance.now()),
        onTurnEnd: () => this.#noteOwed(),
        onRoom: user.onRoom,
        onError: (error) => this.end(endingOf(error)),
      },
    );
  }

  /** Arms the first read. */
  start(): void {
    this.#socket.unref?.();
    this.#read();
  }

  /** How it ended, or `undefined` while it is open. */
  get report(): CloseReport | undefined {
    return this.#report;
  }

  /** Whether more commands should go elsewhere, or wait. */
  get isFull(): boolean {
    return this.#writes.isFull;
  }

  /** Whether the server owes a reply: to a command that was handed to the socket. */
  get isReplyOwed(): boolean {
    return this.#writes.isReplyOwed;
  }

  /** Bytes received that belong to no reply taken so far. */
  get bytesLeft(): number {
    return this.#parser.partialLength;
  }

  /** When a byte last came, by `performance.now()`. */
  get heardAt(): number {
    return this.#heardAt;
  }

  /** How long a reply has been owed without a byte, in milliseconds; 0 if none is, and once it has ended. */
  owedMs(now: number): number {
    return this.#report === undefined ? this.#timer.owedMs(now) : 0;
  }

  /** When a byte last came or a write last began, by `performance.now()`. */
  get lastByteAt(): number {
    return Math.max(this.#heardAt, this.#writes.wroteAt);
  }

  /** See {@linkcode WriteScheduler.gather}. */
  gather(command: Command, isAnswered?: boolean): void {
    this.#writes.gather(command, isAnswered);
  }

  /** See {@linkcode WriteScheduler.schedule}. */
  schedule(): void {
    this.#writes.schedule();
  }

  /** See {@linkcode WriteScheduler.signalRoom}. */
  signalRoom(): void {
    this.#writes.signalRoom();
  }

  /**
   * Takes the next reply.
   *
   * @param binary Whether its bulk strings become `Uint8Array`.
   * @returns The reply, or `undefined` while it has not come whole.
   * @throws {ProtocolError} If the bytes are no reply.
   */
  next(binary?: boolean): Reply | undefined {
    const reply = this.#parser.next(binary);
    if (reply !== undefined) {
      this.#replies++;
      this.#timer.replyReceived(this.#heardAt);
    } else if (this.#parser.partialLength > 0) {
      this.#timer.partReceived(this.#heardAt);
    }
    return reply;
  }

  /** Takes the last element of the next reply alone: see {@linkcode ReplyParser.nextBehind}. */
  nextBehind(
    head: HeadReader,
    binary: boolean,
  ): string | Uint8Array | undefined {
    const value = this.#parser.nextBehind(head, binary);
    if (value !== undefined) this.#replies++;
    return value;
  }

  /** The reply that is owed first is another one now, and may have less time. */
  shortenTimer(): void {
    this.#timer.shorten();
  }

  /** No reply is owed any more. A command from now on has the whole reply timeout. */
  noneOwed(): void {
    this.#timer.noneOwed();
  }

  /** Whether nothing is taken or read: see {@linkcode Wire.hold}. */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  /**
   * Leaves what comes where it is, until {@linkcode Wire.resume}: the peer stops
   * writing once the buffers of both systems are full. No reply counts as owed
   * meanwhile, and an end of the peer is not seen. To be called from `onBytes`.
   */
  hold(): void {
    this.#held ??= Promise.withResolvers();
    this.#timer.noneOwed();
    this.#timer.stop();
  }

  /** Goes on after {@linkcode Wire.hold}: with what has come, then with what comes. */
  resume(): void {
    if (this.#held === undefined) return;
    this.#held.resolve();
    this.#held = undefined;
    this.#noteOwed();
  }

  #noteOwed(): void {
    if (this.#report !== undefined || this.isHeld) return;
    if (this.#user.unanswered.length > 0) this.#timer.replyOwed();
  }

  /** The one way out. Without effect once it has ended. */
  end(ending: Ending): void {
    if (this.#report !== undefined) return;
    const { unwritten } = this.#writes;
    const report = this.#report = this.#user.makeReport(this.#factsOf(ending));
    this.#timer.stop();
    this.#held?.resolve();
    try {
      this.#socket.close();
    } catch {
      // Already closed by the error that led here.
    }
    // A wire that has ended may be kept for its report: its buffers are dropped.
    this.#parser = new ReplyParser();
    this.#writes.stop();
    this.#user.onEnd(report, unwritten);
  }

  async #read(): Promise<void> {
    try {
      while (this.#report === undefined) {
        const buffer = this.#parser.reserve();
        const count = await this.#socket.read(buffer);
        if (this.#report !== undefined) return;
        if (count === null) return this.end({ by: "server", how: "fin" });
        if (count === 0) continue; // no sign of life
        if (!Number.isInteger(count) || count < 0 || count > buffer.length) {
          throw new RangeError(
            `the socket says that it read ${count} of ${buffer.length} bytes`,
          );
        }
        this.#parser.commit(count);
        const { bytesOut } = this.#writes;
        const replies = this.#replies;
        this.#bytesIn += count;
        this.#heardAt = performance.now();
        this.#timer.received(count, this.#heardAt);
        this.#user.onBytes();
        while (this.#held !== undefined) {
          await this.#held.promise;
          if (this.#report !== undefined) return;
          this.#user.onBytes();
        }
        if (replies === this.#replies) continue;
        for (
          let i = 0;
          i < MICROTASKS_BEFORE_READ && bytesOut === this.#writes.bytesOut;
          i++
        ) await undefined;
        this.#timer.stopIfIdle();
      }
    } catch (error) {
      this.end(endingOf(error));
    }
  }

  #noteStall(): void {
    if (
      this.#writes.isReplyOwed &&
      performance.now() - this.#timer.since > STALL_MS
    ) this.#user.onStall();
  }

  #factsOf({ by, how, cause }: Ending): WireFacts {
    const now = performance.now();
    return {
      by,
      how,
      cause: cause === undefined ? undefined : mask(cause, this.#secret),
      closedAt: Date.now(),
      ageMs: now - this.openedAt,
      idleMs: now - this.lastByteAt,
      silentMs: now - this.#heardAt,
      owedMs: this.#timer.owedMs(now),
      bytesIn: this.#bytesIn,
      bytesOut: this.#writes.bytesOut,
      replyBytes: this.#parser.partialLength,
      isWriting: this.#writes.isWriting,
      isReplyOwed: this.#writes.isReplyOwed,
    };
  }
}

/** Which side an error of the socket or the parser points to. Never throws. */
function endingOf(error: unknown): Ending {
  const failure = socketErrorOf(error);
  const cause = failure.message;
  if (failure.cause instanceof ProtocolError) {
    return { by: "server", how: "protocol-error", cause };
  }
  switch (failure.how) {
    case "fin": // the server's process ended or was told to end
      return {
        by: "server",
        how: "fin",
        cause: failure.cause === undefined
          ? cause // of a socket of the user's own
          : "closed without a TLS close_notify",
      };
    case "tls":
      return { by: "server", how: "tls-alert", cause };
    case "silence":
      return { by: "network", how: "silence", cause };
    case "denied": // on Workers: a socket that another request has opened
      return { by: "client", how: "requested", cause };
    default:
      return { by: "network", how: "rst", cause };
  }
}
