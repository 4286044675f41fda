// One open socket: pipelined, born open, dies once.
import { CommandBuffer } from "../../resp/encode.ts";
import {
  type Command,
  type ParserLimits,
  ProtocolError,
  ReplyError,
  ReplyParser,
} from "../../resp/mod.ts";
import type { CloseReport, PoolState } from "./close_report.ts";
import type { Socket } from "../socket/socket.ts";
import { InFlight, type Slot } from "./in_flight.ts";
import { printException } from "./print_exception.ts";
import { FairTimeout } from "../socket/fair_timeout.ts";
import { mask } from "../socket/secrets.ts";
import { socketErrorOf } from "../socket/socket_error.ts";

/** What the server said about itself and this connection in the handshake. */
export interface Identity {
  /** CLIENT ID. */
  readonly clientId?: number;
  /** The server's version. */
  readonly version?: string;
  /** `"standalone"`, `"cluster"` or `"sentinel"`. */
  readonly mode?: string;
  /** `"master"` or `"replica"`. */
  readonly role?: string;
  /** What was no reason to fail but may surprise, such as a password that the server does not ask for. */
  readonly note?: string;
}

/** What is called when something happens to a connection. */
export interface ConnectionObserver {
  /** Nothing is in flight any more. */
  onIdle?(connection: Connection): void;
  /** It was full, and has room again. */
  onRoom?(connection: Connection): void;
  /** It is writing, and has been owed a reply for {@linkcode STALL_MS}. */
  onStall?(connection: Connection): void;
  /** What the report of its end says of its pool. */
  state?(): PoolState;
  /** It has ended. Called once, before the slots in flight are lost. */
  onClose?(connection: Connection, report: CloseReport): void;
}

/** Options of a {@linkcode Connection}. */
export interface ConnectionOptions {
  /** `host:port`, for reports. */
  readonly endpoint: string;
  /** Sequence number of the connection within its pool, starting at 1. */
  readonly number: number;
  /** When its dial began, by `performance.now()`. @default {when it is made} */
  readonly dialedAt?: number;
  /** How long a reply may be owed without a byte coming or going, in milliseconds. */
  readonly replyTimeoutMs: number;
  /** What must not stand in a report: the password. */
  readonly secret?: string | undefined;
  /** The largest reply to accept. */
  readonly limits?: ParserLimits;
  /** Whether bytes may be overwritten once their write is over: not where a socket keeps them, in a buffer of its own. @default {false} */
  readonly reusesBytes?: boolean;
  /** What is called when something happens to it. */
  readonly observer?: ConnectionObserver;
}

/** A reply owed for this long means that commands queue behind something slow. */
export const STALL_MS = 20;
/**
 * An idle server gets the first half of a turn's commands as soon as there are
 * as many as half the usual, and works while the others are made: with 64
 * callers 1.4 times the commands a second. Fewer than this are not worth a
 * write of their own, and as many bytes are not kept for the other half.
 */
const HALF = { least: 8, bytes: 256 * 1024 };
/** High-water marks: beyond so many unanswered commands or unwritten bytes a connection takes no more. */
const FULL = { replies: 16 * 1024, bytes: 16 * 1024 * 1024 };
/**
 * A reply that has been coming for so many reply timeouts must go on by so many
 * bytes in each further one. Fewer would hold the connection, and its other
 * callers, for ever.
 */
const DRIP = { timeouts: 6, leastBytes: 1024 };
/** The most of a command's name that a report repeats, in characters. */
const MAX_NAME = 64;
/**
 * Microtasks in which a caller that was answered may send its next command, before the next read
 * is armed: the server works while it is. One at a time that is worth 5 %.
 */
const TURNAROUND = 8;

const NOTHING = new Uint8Array(0);

type Cause = Pick<CloseReport, "by" | "how"> & { cause?: string };

/**
 * An open connection.
 *
 * - The n-th reply answers the n-th command.
 * - Each slot is settled or lost, once.
 * - A read is armed by the end of each turn, so a close is seen while idle, too.
 * - Commands of one turn go out in one write, or two if there are many; while
 *   a write is pending, more gather.
 * - The timer runs only while a reply is owed, or may be again in the same turn. Any byte
 *   moves it, either way, unless one reply drips for many times the reply timeout. When
 *   the time is up, the connection ends: a late reply can reach no caller.
 * - A reply that was not asked for, or that is no RESP, ends it.
 * - It ends once: the first cause wins. Nothing is written or settled afterwards.
 * - What a slot or an observer throws reaches no other slot.
 */
export class Connection {
  /** Which one of its pool's connections it is. */
  readonly number: number;
  /** When it was opened, by `performance.now()`. */
  readonly openedAt: number = performance.now();

  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  #parser: ReplyParser;
  readonly #inFlight = new InFlight();
  #gathered: CommandBuffer;
  #introduction: readonly Slot[] | undefined; // goes before the first command
  #introducing = 0; // slots of it at the head of #inFlight: uncounted
  #unwritten = 0; // slots at the end of #inFlight whose bytes are in #gathered
  #flushQueued = false;
  #turn = 0; // commands of this turn of the event loop
  #usualTurn = 0; // the most of late
  #writing = false;
  #outgoing = NOTHING; // what is being written
  #isOwed = false; // whether a reply is owed, since the end of a turn
  #isFull = false;
  // Since when the first reply is owed, and no byte has come or gone.
  readonly #replyTimeout = new FairTimeout(
    () => this.#limitMs(),
    () => this.#silent(),
  );
  #partial = -1; // #served when a reply had come in part
  #partialSince = 0;
  #progressBytes = 0; // #bytesIn when they last moved #replyTimeout
  #lastByteAt: number = this.openedAt;
  #heardAt: number = this.openedAt;
  #dialMs = 0;
  #served = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  #identity: Identity | undefined;
  #report: CloseReport | undefined;

  /**
   * Takes over a socket and arms its read.
   *
   * @param socket An open socket. The connection owns it from now on.
   * @param options See {@linkcode ConnectionOptions}.
   */
  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.number = options.number;
    this.#parser = new ReplyParser(options.limits);
    this.#gathered = new CommandBuffer(options.reusesBytes);
    // The timer, not the read, keeps the process alive while a reply is owed.
    socket.unref?.();
    this.#read();
  }

  /** How it ended, or `undefined` while it is open. */
  get report(): CloseReport | undefined {
    return this.#report;
  }

  /** Commands that have no reply yet. */
  get inFlight(): number {
    return this.#inFlight.length - this.#introducing;
  }

  /** Whether more commands should go elsewhere, or wait. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Commands answered since the handshake. */
  get served(): number {
    return this.#served;
  }

  /** What the server said in the handshake; `undefined` before it. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** When a byte last came or a command was last written, by `performance.now()`. */
  get lastByteAt(): number {
    return this.#lastByteAt;
  }

  /** When a byte last came, by `performance.now()`. */
  get heardAt(): number {
    return this.#heardAt;
  }

  /** What it took to open it, from the dial to the end of the handshake, in milliseconds. */
  get dialMs(): number {
    return this.#dialMs;
  }

  /** The handshake is over: what was served so far does not count. */
  established(identity: Identity, introduction: readonly Slot[] = []): void {
    this.#identity = identity;
    if (introduction.length > 0) this.#introduction = introduction;
    this.#served = 0;
    const { dialedAt = this.openedAt } = this.#options;
    this.#dialMs = performance.now() - dialedAt;
    this.#partial = -1;
  }

  /**
   * Puts a command in flight. It is written at the end of the turn.
   *
   * @param slot The command, and what to do with its reply.
   * @throws {TypeError} If the command cannot be encoded; nothing has happened then.
   */
  push(slot: Slot): void {
    if (this.#report !== undefined) {
      slot.lose({
        report: this.#report,
        fate: "unsent",
        untouched: true,
        openedAt: this.openedAt,
      });
      return;
    }
    if (this.#introduction !== undefined) this.#introduce();
    this.#gathered.append(slot.command);
    this.#inFlight.push(slot);
    this.#unwritten++;
    this.#isFull ||= this.#inFlight.length >= FULL.replies ||
      this.#gathered.size >= FULL.bytes;
    this.#wantFlush();
  }

  /**
   * Sends a command that the server will not answer (CLIENT REPLY OFF or SKIP came before).
   *
   * @throws {TypeError} If the command cannot be encoded.
   */
  pushUnanswered(command: Command): void {
    if (this.#report !== undefined) return;
    if (this.#introduction !== undefined) this.#introduce();
    this.#gathered.append(command, false);
    this.#wantFlush();
  }

  /** Puts in flight what goes before the first command. It is in no count. */
  #introduce(): void {
    const slots = this.#introduction!;
    this.#introduction = undefined;
    for (const slot of slots) {
      this.#gathered.append(slot.command);
      this.#inFlight.push({
        ...slot,
        resolve: (reply) => {
          this.#introducing--;
          this.#served--;
          slot.resolve(reply);
        },
      });
      this.#unwritten++;
      this.#introducing++;
    }
  }

  /** Ends it now. Slots in flight are lost. */
  close(cause = "closed by the caller"): void {
    this.#end({ by: "client", how: "requested", cause });
  }

  /** Ends it because its peer did not answer in time. */
  timeOut(cause: string): void {
    this.#end({ by: "network", how: "silence", cause });
  }

  #wantFlush(): void {
    if (!this.#flushQueued) {
      this.#flushQueued = true;
      queueMicrotask(this.#flushTurn);
    }
    this.#turn++;
    if (this.#writing) return;
    const isHalf = this.#turn >= HALF.least &&
      2 * this.#turn >= this.#usualTurn;
    const isServerIdle = this.#inFlight.length === this.#unwritten;
    if ((isHalf && isServerIdle) || this.#gathered.size >= HALF.bytes) {
      this.#flush();
    }
  }

  readonly #flushTurn = (): void => {
    this.#flushQueued = false;
    this.#usualTurn = Math.max(this.#turn, this.#usualTurn / 2);
    this.#turn = 0;
    if (!this.#writing) this.#flush();
    if (this.#isOwed || this.#inFlight.length === 0) return;
    this.#isOwed = true;
    this.#replyTimeout.start();
  };

  #flush(): void {
    if (this.#report !== undefined || this.#gathered.size === 0) return;
    if (
      this.#inFlight.length > this.#unwritten &&
      performance.now() - this.#replyTimeout.since > STALL_MS
    ) this.#tell("onStall");
    this.#writing = true;
    this.#outgoing = this.#gathered.take();
    this.#unwritten = this.#gathered.owed; // what is large goes out in several writes
    this.#bytesOut += this.#outgoing.length;
    this.#write();
    // Not before: the server works already.
    this.#lastByteAt = performance.now();
  }

  #write(): void {
    try {
      this.#socket.write(this.#outgoing).then(this.#wrote)
        .catch(this.#failed);
    } catch (error) { // a socket of the user's own
      this.#failed(error);
    }
  }

  readonly #wrote = (count: number): void => {
    const { length } = this.#outgoing;
    if (!(count > 0 && count <= length)) {
      throw new RangeError(
        `the socket says that it wrote ${count} of ${length} bytes`,
      );
    }
    if (this.#report !== undefined) return;
    if (count < length) {
      // What is too large for one write goes on; small ones prove nothing.
      this.#replyTimeout.progressed(performance.now());
      this.#outgoing = this.#outgoing.subarray(count);
      return this.#write();
    }
    this.#writing = false;
    this.#outgoing = NOTHING;
    this.#flush();
    this.#relieve();
  };

  readonly #failed = (error: unknown): void => this.#end(causeOf(error));

  async #read(): Promise<void> {
    try {
      while (true) {
        const count = await this.#socket.read(this.#parser.reserve());
        if (this.#report !== undefined) return;
        if (count === null) return this.#end({ by: "server", how: "fin" });
        this.#parser.commit(count);
        const sent = this.#bytesOut;
        const served = this.#served;
        this.#received(count);
        if (served === this.#served) continue;
        for (let i = 0; i < TURNAROUND && sent === this.#bytesOut; i++) {
          await undefined;
        }
        if (this.#report !== undefined) return;
        if (!this.#isOwed) this.#replyTimeout.stop();
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  #received(count: number): void {
    this.#bytesIn += count;
    const now = this.#lastByteAt = this.#heardAt = performance.now();
    const isRest = this.#partial === this.#served;
    if (!isRest || this.#isEnough(now)) this.#progressed(now);
    while (this.#report === undefined) {
      const slot = this.#inFlight.length > this.#unwritten
        ? this.#inFlight.first()
        : undefined;
      if (slot === undefined) return this.#receivedAll();
      const reply = this.#parser.next(slot.binary);
      if (reply === undefined) return this.#receivedPart(now);
      if (this.#partial === this.#served) this.#progressed(now);
      this.#inFlight.shift();
      this.#served++;
      try {
        slot.resolve(reply);
      } catch (error) {
        printException("a reply's receiver", error);
      }
      // The timer was set for a reply that might take longer than others.
      if (slot.extraReplyTimeoutMs > 0 && this.#inFlight.length > 0) {
        this.#replyTimeout.shorten();
      }
    }
  }

  #receivedPart(now: number): void {
    if (this.#partial !== this.#served && this.#parser.partialLength > 0) {
      this.#partial = this.#served;
      this.#partialSince = now;
    }
    this.#relieve();
  }

  /** Whether what has come of a reply since the last progress is more than a drip. */
  #isEnough(now: number): boolean {
    return this.#bytesIn - this.#progressBytes >= DRIP.leastBytes ||
      now - this.#partialSince <= DRIP.timeouts * this.#options.replyTimeoutMs;
  }

  #progressed(now: number): void {
    this.#replyTimeout.progressed(now);
    this.#progressBytes = this.#bytesIn;
  }

  /** Every reply that was owed has come; a byte more than that is one too many. */
  #receivedAll(): void {
    if (this.#parser.partialLength > 0) {
      const reply = this.#parser.next();
      throw new ProtocolError(
        reply instanceof ReplyError
          ? `Unasked error reply: ${reply.message}`
          : "Unasked bytes: they came when no reply was owed",
      );
    }
    // Before observers are called: a command that they push is owed anew.
    if (this.#inFlight.length === 0) this.#isOwed = false;
    this.#relieve();
    if (this.#inFlight.length > 0) return;
    this.#tell("onIdle");
  }

  /** A connection that was full takes commands again once it is half empty. */
  #relieve(): void {
    if (
      !this.#isFull || this.#report !== undefined ||
      this.#inFlight.length > FULL.replies / 2 ||
      this.#gathered.size > FULL.bytes / 2
    ) return;
    this.#isFull = false;
    this.#tell("onRoom");
  }

  #tell(what: "onIdle" | "onRoom" | "onStall"): void {
    try {
      this.#options.observer?.[what]?.(this);
    } catch (error) {
      printException(`${what} of a connection`, error);
    }
  }

  /** How long the first reply may be owed, in milliseconds. */
  #limitMs(): number {
    return this.#options.replyTimeoutMs +
      (this.#inFlight.first()?.extraReplyTimeoutMs ?? 0);
  }

  #silent(): void {
    const { replyTimeoutMs } = this.#options;
    const bytes = this.#bytesIn - this.#progressBytes;
    this.timeOut(
      bytes > 0
        ? `only ${bytes} bytes came of a reply that had taken ${DRIP.timeouts} times as long already, replyTimeoutMs is ${replyTimeoutMs}`
        : `no byte came, replyTimeoutMs is ${replyTimeoutMs}`,
    );
  }

  /** The one way out. */
  #end({ by, how, cause }: Cause): void {
    if (this.#report !== undefined) return;
    const inside = this.#parser.partialLength;
    const report = this.#report = this.#makeReport(
      {
        by,
        how,
        ...(cause === undefined
          ? {}
          : { cause: mask(cause, this.#options.secret) }),
      },
      inside,
    );
    this.#replyTimeout.stop();
    try {
      this.#socket.close();
    } catch {
      // Already closed by the error that led here.
    }
    // A dead connection may be kept for the sake of its report: its buffers go.
    this.#parser = new ReplyParser();
    this.#gathered = new CommandBuffer();
    try {
      this.#options.observer?.onClose?.(this, report);
    } catch (error) {
      printException("onClose of a connection", error);
    }

    this.#introducing = 0;
    const written = this.#inFlight.length - this.#unwritten;
    const lost = Array.from(
      { length: this.#inFlight.length },
      () => this.#inFlight.shift()!,
    );
    lost.forEach((slot, i) => {
      try {
        slot.lose({
          report,
          fate: i < written ? "unknown" : "unsent",
          untouched: i > 0 || inside === 0,
          openedAt: this.openedAt,
        });
      } catch (error) {
        printException("the loss of a command", error);
      }
    });
  }

  #makeReport(
    { by, how, cause }: Cause,
    replyBytes: number,
  ): CloseReport {
    const now = performance.now();
    const first = this.#inFlight.at(this.#introducing);
    return {
      by,
      how,
      during: this.#identity === undefined
        ? "handshake"
        : replyBytes > 0
        ? "inside-reply"
        : this.#inFlight.length > this.#unwritten
        ? "awaiting-reply"
        : this.#writing
        ? "writing"
        : "idle",
      cause,
      endpoint: this.#options.endpoint,
      connection: this.number,
      clientId: this.#identity?.clientId,
      closedAt: Date.now(),
      ageMs: now - this.openedAt,
      idleMs: now - this.#lastByteAt,
      silentMs: now - this.#heardAt,
      owedMs: this.#isOwed ? now - this.#replyTimeout.since : 0,
      commandsServed: this.#served,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      inFlight: this.inFlight,
      firstInFlight: first === undefined ? undefined : {
        name: first.command[0].slice(0, MAX_NAME),
        args: first.command.length - 1,
      },
      replyBytes,
      pool: this.#options.observer?.state?.(),
    };
  }
}

/** Which side an error of the socket or the parser points to. Never throws. */
function causeOf(error: unknown): Cause {
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
    default:
      return { by: "network", how: "rst", cause };
  }
}
