// When commands are written: by the end of their turn, or earlier.
import { CommandBuffer } from "../../resp/command_buffer.ts";
import type { Command } from "../../resp/types.ts";
import type { Socket } from "../socket/socket.ts";

/**
 * If the server is idle, the first part of a turn's commands is written as soon
 * as it is half the size of recent turns, so that the server works while the
 * rest is encoded: 1.2 times the commands a second with 64 callers, 1.3 times
 * in bursts of 1000; a sixth less where no core is free for the server. Fewer
 * than `least` commands are not worth a write of their own; `bytes` are written
 * whether the server is idle or not.
 */
const EARLY_FLUSH = { least: 8, bytes: 256 * 1024 };
/** From this many unanswered commands or unwritten bytes on, the pool sends new commands elsewhere. */
const HIGH_WATER = { replies: 16 * 1024, bytes: 16 * 1024 * 1024 };

/** What a {@linkcode WriteScheduler} calls. */
export interface WriteEvents {
  /** A write is about to begin. */
  readonly onWrite: () => void;
  /** A part of what is too large for one write has been written. */
  readonly onPartialWrite: () => void;
  /** A turn in which commands were gathered has ended. */
  readonly onTurnEnd: () => void;
  /** The load was above the high-water mark and is below half of it now. */
  readonly onRoom: () => void;
  /** The socket has failed, or reports an impossible number of bytes. */
  readonly onError: (error: unknown) => void;
}

/**
 * Gathers the commands of a turn of the event loop and writes them at its end.
 *
 * Its state is two independent ones, of the turn and of the socket:
 *
 * | turn        | event                              | becomes     |
 * | ----------- | ---------------------------------- | ----------- |
 * | empty       | `schedule`                         | gathering   |
 * | gathering   | end of the turn (a microtask)      | empty       |
 *
 * | socket      | event                              | becomes     |
 * | ----------- | ---------------------------------- | ----------- |
 * | at rest     | end of the turn, or EARLY_FLUSH    | writing     |
 * | writing     | a part was written                 | writing     |
 * | writing     | all is written, more was gathered  | writing     |
 * | writing     | all is written, nothing gathered   | at rest     |
 *
 * - One write is pending at most; what is gathered meanwhile is the next one.
 * - What is written are whole commands, in the order in which they were gathered.
 * - After `stop` nothing is written and nothing is called.
 */
export class WriteScheduler {
  readonly #socket: Pick<Socket, "write">;
  readonly #events: WriteEvents;
  readonly #unanswered: { readonly length: number };
  #gathered: CommandBuffer;
  #turn = 0; // commands of this turn; its end is queued if there are any
  #recentTurnMax = 0;
  #outgoing: Uint8Array | undefined; // what is left of the pending write
  #isFull = false;
  #isStopped = false;
  #bytesOut = 0;
  #wroteAt = 0;

  /**
   * Makes a scheduler at rest.
   *
   * @param socket What is written to.
   * @param unanswered The commands that are owed a reply, whether written or not.
   * @param reusesBytes Whether bytes may be overwritten once their write is over.
   * @param events What is called.
   */
  constructor(
    socket: Pick<Socket, "write">,
    unanswered: { readonly length: number },
    reusesBytes: boolean,
    events: WriteEvents,
  ) {
    this.#socket = socket;
    this.#unanswered = unanswered;
    this.#events = events;
    this.#gathered = new CommandBuffer(reusesBytes);
  }

  /** How many of the unanswered commands have not been handed to the socket. */
  get unwritten(): number {
    return this.#gathered.owed;
  }

  /** Whether the server owes a reply: to a command that was handed to the socket. */
  get isReplyOwed(): boolean {
    return this.#unanswered.length > this.#gathered.owed;
  }

  /** Whether a write is pending. */
  get isWriting(): boolean {
    return this.#outgoing !== undefined;
  }

  /** Whether the load is above the high-water mark, or has not fallen to half of it since. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Bytes handed to the socket. */
  get bytesOut(): number {
    return this.#bytesOut;
  }

  /** When a write last began, by `performance.now()`; 0 before the first. */
  get wroteAt(): number {
    return this.#wroteAt;
  }

  /**
   * Encodes a command. To have it written, call {@linkcode schedule} once it is
   * among the unanswered.
   *
   * @param command The command.
   * @param isAnswered Whether the server will answer it.
   * @throws {TypeError} If the command cannot be encoded; nothing has happened then.
   */
  gather(command: Command, isAnswered = true): void {
    this.#gathered.append(command, isAnswered);
  }

  /** Has the command that was gathered last written: by the end of the turn, or now. */
  schedule(): void {
    const { size, owed } = this.#gathered;
    const { length } = this.#unanswered;
    this.#isFull ||= length >= HIGH_WATER.replies || size >= HIGH_WATER.bytes;
    if (this.#turn++ === 0) queueMicrotask(this.#endTurn);
    if (this.#outgoing !== undefined) return;
    const isHalf = this.#turn >= EARLY_FLUSH.least &&
      2 * this.#turn >= this.#recentTurnMax;
    const isServerIdle = length === owed;
    if ((isHalf && isServerIdle) || size >= EARLY_FLUSH.bytes) this.#flush();
  }

  /** Calls `onRoom` if the load was above the high-water mark and is half of it now. */
  signalRoom(): void {
    if (
      !this.#isFull || this.#isStopped ||
      this.#unanswered.length > HIGH_WATER.replies / 2 ||
      this.#gathered.size > HIGH_WATER.bytes / 2
    ) return;
    this.#isFull = false;
    this.#events.onRoom();
  }

  /** Ends it: nothing is written any more, and the buffers are dropped. */
  stop(): void {
    this.#isStopped = true;
    this.#gathered = new CommandBuffer();
    this.#outgoing = undefined;
  }

  /** Made once, not for each turn. */
  readonly #endTurn = (): void => {
    this.#recentTurnMax = Math.max(this.#turn, this.#recentTurnMax / 2);
    this.#turn = 0;
    if (this.#isStopped) return;
    if (this.#outgoing === undefined) this.#flush();
    this.#events.onTurnEnd();
  };

  #flush(): void {
    if (this.#isStopped || this.#gathered.size === 0) return;
    this.#events.onWrite();
    const bytes = this.#gathered.take(); // what is large goes out in several writes
    this.#bytesOut += bytes.length;
    this.#write(bytes);
    // The clock is read after the write has begun: the server is busy already.
    this.#wroteAt = performance.now();
  }

  #write(bytes: Uint8Array): void {
    this.#outgoing = bytes;
    try {
      this.#socket.write(bytes).then(this.#wrote)
        .catch(this.#events.onError);
    } catch (error) { // a socket of the user's own
      this.#events.onError(error);
    }
  }

  /** Made once, not for each write. */
  readonly #wrote = (count: number): void => {
    if (this.#isStopped) return;
    const bytes = this.#outgoing!;
    if (!(count > 0 && count <= bytes.length)) {
      throw new RangeError(
        `the socket says that it wrote ${count} of ${bytes.length} bytes`,
      );
    }
    if (count < bytes.length) {
      this.#events.onPartialWrite();
      return this.#write(bytes.subarray(count));
    }
    this.#outgoing = undefined;
    this.#flush();
    this.signalRoom();
  };
}
