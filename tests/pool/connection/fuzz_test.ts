// That a connection keeps its promises whatever its socket does: random pieces, cuts, lies and errors.
//
// SEED=1 repeats a run, SEARCH=100 makes it a hundred times as long, and ROUND=17 plays that round of it alone.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type ClosedHow,
  type CloseReport,
  type Command,
  type Reply,
  ReplyError,
} from "../../../mod.ts";
import { Connection } from "../../../pool/connection/connection.ts";
import type { Loss, Slot } from "../../../pool/connection/in_flight.ts";
import type { Socket } from "../../../pool/socket/socket.ts";
import { encodeCommand } from "../../../resp/encode.ts";
import { concat } from "../../support/bytes.ts";
import { numberFromEnv, Random, searchLength } from "../../support/random.ts";

const ROUNDS = 800;
const AT_ONCE = 400;
/** For rounds in which the peer falls silent; the others must never meet the time limit. */
const IMPATIENT_MS = 30;
const PATIENT_MS = 120_000;
/** For 400 rounds at once on a busy machine, whose timers are late. */
const HANG_MS = 30_000;
/** Turns of the event loop without progress after which nothing more will come. */
const STUCK_TURNS = 8;
const MOST_PIECES = 50;

// What a round is, as data: it can be kept and looked at.

/** How a socket fails, and what its report must say then. */
const ERRORS = {
  ConnectionReset: "rst",
  ConnectionAborted: "rst",
  BrokenPipe: "rst",
  UnexpectedEof: "fin",
  Interrupted: "rst",
  BadResource: "rst",
  TimedOut: "silence",
} as const satisfies Partial<Record<keyof typeof Deno.errors, ClosedHow>>;

type ErrorName = keyof typeof ERRORS;
const ERROR_NAMES = Object.keys(ERRORS) as ErrorName[];

type Fault =
  /** The bytes of a reply are not what the server sent: see `Step.wire`. */
  | { readonly kind: "tamper"; readonly step: number }
  /** After so many bytes of replies the stream ends. */
  | { readonly kind: "end"; readonly after: number; readonly by: Ending }
  /** After so many bytes of replies nothing more comes. */
  | { readonly kind: "silence"; readonly after: number }
  /** After so many bytes of commands writes fail. */
  | { readonly kind: "refuse"; readonly after: number; readonly by: ErrorName }
  /** The n-th write says that it wrote this many bytes. */
  | { readonly kind: "lie"; readonly write: number; readonly count: number }
  /** The caller closes the connection when so many slots are settled. */
  | { readonly kind: "close"; readonly settled: number };

type Ending = "eof" | "alert" | ErrorName;

/** A command, and what the server answers. */
interface Step {
  readonly command: Command;
  readonly binary: boolean;
  /** The bytes of the reply, as the server sent them; `undefined` where it sends none. */
  readonly reply: Uint8Array | undefined;
  /** As they arrive. */
  readonly wire: Uint8Array;
  /** Turns of the event loop before it is pushed. */
  readonly pause: number;
  /** Further steps pushed from within its `resolve` or `lose`. */
  readonly breeds: number;
}

interface Script {
  readonly steps: readonly Step[];
  readonly faults: readonly Fault[];
  /** How large the pieces are that are read, again and again. */
  readonly reads: readonly number[];
  /** How much of what is offered each write takes. */
  readonly writes: readonly number[];
  /** Turns before a read or a write comes back: 0 is the same turn. */
  readonly waits: readonly number[];
  /** A read that was pending when the socket was closed comes back with bytes. */
  readonly lateRead: boolean;
}

const latin1 = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(text, (character) => character.charCodeAt(0));

/** Writes scripts: the same ones from the same seed. */
class Author {
  readonly #random = new Random();
  readonly #noise = this.#random.bytes(1 << 17);

  script(): Script {
    const random = this.#random;
    const most = random.oneIn(20) ? 200 : 10;
    const pauses = random.pick([[0], [0, 0, 0, 0, 1, 3]]);
    const steps = Array.from(
      { length: 1 + random.below(most) },
      (_, number) => this.#step(number, pauses),
    );
    const faults = random.oneIn(4) ? [] : [this.#fault(steps)];
    if (random.oneIn(4)) faults.push(this.#fault(steps));
    for (const fault of faults) {
      if (fault.kind !== "tamper") continue;
      const step = steps[fault.step]!;
      steps[fault.step] = { ...step, wire: this.#tampered(step.wire) };
    }
    const some = (bounds: readonly number[], least = 1): number[] =>
      Array.from(
        { length: 1 + random.below(6) },
        () => least + random.below(random.pick(bounds)),
      );
    // Byte by byte only where that is soon over.
    const sum = (lengths: number[]) => lengths.reduce((a, b) => a + b, 0);
    const replies = sum(steps.map(({ wire }) => wire.length));
    const commands = sum(
      steps.map(({ command: [, , body] }) =>
        typeof body === "string" || body instanceof Uint8Array ? body.length : 0
      ),
    );
    const least = (bytes: number) => 1 + Math.floor(bytes / MOST_PIECES);
    return {
      steps,
      faults,
      reads: some(
        random.pick([[1, 4], [1, 50, 3000], [100_000]]),
        least(replies),
      ),
      writes: some(
        random.pick([[1, 60], [20, 4000], [200_000]]),
        least(commands),
      ),
      waits: some(random.pick([[1], [1, 1, 3], [3]]), 0),
      lateRead: random.oneIn(2),
    };
  }

  #step(number: number, pauses: readonly number[]): Step {
    const random = this.#random;
    const payload = this.#body();
    const isAnswered = !random.oneIn(25);
    const reply = isAnswered ? this.#reply(number, 0) : undefined;
    return {
      command: ["ECHO", number, random.oneIn(3) ? payload : text(payload)],
      binary: random.oneIn(3),
      reply,
      wire: reply ?? new Uint8Array(),
      pause: random.pick(pauses),
      breeds: isAnswered ? random.pick([0, 0, 0, 1, 2]) : 0,
    };
  }

  /** Mostly short, at times too large for the receive buffer or for one flush. */
  #body(): Uint8Array {
    const random = this.#random;
    const length = random.oneIn(40)
      ? random.below(90_000)
      : random.oneIn(10)
      ? random.below(6000)
      : random.below(24);
    const from = random.below(this.#noise.length - length);
    return this.#noise.subarray(from, from + length);
  }

  #reply(number: number, depth: number): Uint8Array {
    const random = this.#random;
    switch (random.below(depth > 3 ? 7 : 9)) {
      case 0:
        return latin1(random.oneIn(2) ? "+OK\r\n" : `+reply ${number}\r\n`);
      case 1:
        return latin1(`-ERR reply ${number}\r\n`);
      case 2:
        return latin1(`:${random.word() - 2 ** 31}\r\n`);
      case 3:
        return latin1(`:${BigInt(random.word()) * 2_000_000_000n}\r\n`);
      case 4:
        return latin1(random.oneIn(2) ? "$-1\r\n" : "*-1\r\n");
      case 5:
      case 6: {
        const body = this.#body();
        return concat(latin1(`$${body.length}\r\n`), body, latin1("\r\n"));
      }
      default: {
        const items = Array.from(
          { length: random.below(5) },
          () => this.#reply(number, depth + 1),
        );
        return concat(latin1(`*${items.length}\r\n`), ...items);
      }
    }
  }

  #fault(steps: readonly Step[]): Fault {
    const random = this.#random;
    const replies = steps.reduce((sum, { wire }) => sum + wire.length, 0);
    const commands = steps.reduce(
      (sum, { command }) => sum + encodeCommand(command).length,
      0,
    );
    switch (random.below(8)) {
      case 0:
      case 1: {
        const answered = steps.flatMap(({ reply }, i) => reply ? [i] : []);
        if (answered.length === 0) return { kind: "close", settled: 0 };
        return { kind: "tamper", step: random.pick(answered) };
      }
      case 2:
      case 3: {
        const by = random.pick<Ending>(["eof", "eof", "alert", ...ERROR_NAMES]);
        return { kind: "end", after: random.below(replies + 1), by };
      }
      case 4:
        return { kind: "silence", after: random.below(replies + 1) };
      case 5: {
        const by = random.pick(ERROR_NAMES);
        return { kind: "refuse", after: random.below(commands), by };
      }
      case 6:
        return {
          kind: "lie",
          write: random.below(4),
          count: random.pick([0, -1, NaN, Infinity, 2 ** 31]),
        };
      default:
        return { kind: "close", settled: random.below(steps.length) };
    }
  }

  #tampered(wire: Uint8Array): Uint8Array {
    const random = this.#random;
    // The last bytes are those that are looked at last, and forgotten first.
    const at = random.oneIn(4) ? wire.length - 2 : random.below(wire.length);
    const length = 1 + random.below(random.oneIn(2) ? 3 : wire.length - at);
    const [before, rest] = [wire.subarray(0, at), wire.subarray(at)];
    switch (random.below(6)) {
      case 0: { // a bit
        const copy = wire.slice();
        copy[at]! ^= 1 << random.below(8);
        return copy;
      }
      case 1: { // another byte of the protocol
        const copy = wire.slice();
        copy[at] = random.pick([...latin1("$*:+-\r\n0129")]);
        return copy;
      }
      case 2: // bytes are missing
        return concat(before, rest.subarray(length));
      case 3: // bytes come twice
        return concat(before, rest.subarray(0, length), rest);
      case 4: // bytes from elsewhere
        return concat(before, this.#body(), rest);
      default: // a reply too many
        return concat(wire, random.oneIn(2) ? wire : latin1("-ERR full\r\n"));
    }
  }
}

/** Bytes as text that has characters of one, two and three bytes in UTF-8. */
const text = (bytes: Uint8Array): string =>
  new TextDecoder("windows-1252").decode(bytes);

// The judge: a reader of replies that is slow, lenient and shares nothing with the parser.

/** The reply that begins at `at` and where it ends, or nothing if it is not whole or none at all. */
function readReply(
  wire: Uint8Array,
  at: number,
  binary: boolean,
): [reply: Reply, end: number] | undefined {
  let cr = at;
  while (cr < wire.length && !(wire[cr] === 13 && wire[cr + 1] === 10)) cr++;
  if (cr >= wire.length) return undefined;
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const line = decoder.decode(wire.subarray(at + 1, cr));
  const end = cr + 2;
  switch (String.fromCharCode(wire[at]!)) {
    case "+":
      return [line, end];
    case "-":
      return [new ReplyError(line), end];
    case ":": {
      if (!/^[+-]?\d+$/.test(line)) return undefined;
      const number = BigInt(line.replace("+", ""));
      const isSafe = BigInt(Number.MAX_SAFE_INTEGER) >= number &&
        number >= BigInt(Number.MIN_SAFE_INTEGER);
      return [isSafe ? Number(number) : number, end];
    }
    case "$": {
      if (/^-0*1$/.test(line)) return [null, end];
      if (!/^\d+$/.test(line)) return undefined;
      const to = end + Number(line);
      if (wire[to] !== 13 || wire[to + 1] !== 10) return undefined;
      const body = wire.slice(end, to);
      return [binary ? body : decoder.decode(body), to + 2];
    }
    case "*": {
      if (/^-0*1$/.test(line)) return [null, end];
      if (!/^\d+$/.test(line)) return undefined;
      const items: Reply[] = [];
      let next = end;
      for (let left = Number(line); left > 0; left--) {
        const item = readReply(wire, next, binary);
        if (item === undefined) return undefined;
        items.push(item[0]);
        next = item[1];
      }
      return [items, next];
    }
  }
  return undefined;
}

function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function isSame(a: Reply | undefined, b: Reply | undefined): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    return isSameBytes(a, b);
  }
  if (a instanceof ReplyError && b instanceof ReplyError) {
    return a.message === b.message;
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, i) => isSame(item, b[i]));
  }
  return a === b;
}

// The fixture: a socket that follows a script, and checks of what the connection does.

/** A command that was pushed, and what became of it. */
interface Pushed {
  readonly step: Step;
  /** Where its bytes begin and end among those of all commands. */
  readonly from: number;
  readonly to: number;
  /** It was pushed after the end. */
  readonly isLate: boolean;
  readonly outcomes: (
    | {
      readonly reply: Reply;
      readonly place: number;
      /** How many bytes of commands had been handed to the socket. */
      readonly offered: number;
    }
    | { readonly loss: Loss }
  )[];
}

/** Both ends of a connection: what it is told to send, and what it is given. */
class Round {
  readonly violations: string[] = [];
  readonly script: Script;
  readonly socket: WildSocket;
  readonly connection: Connection;
  /** What was pushed while it was alive, in order: the server answers in this order. */
  readonly alive: Pushed[] = [];
  readonly late: Pushed[] = [];
  readonly reports: CloseReport[] = [];
  settled = 0;
  open = 0;
  #next = 0;
  #sent: Uint8Array<ArrayBuffer> = new Uint8Array();

  constructor(script: Script) {
    this.script = script;
    this.socket = new WildSocket(this);
    const isSilent = script.faults.some(({ kind }) => kind === "silence");
    this.connection = new Connection(this.socket, {
      endpoint: "fuzz:1",
      number: 1,
      replyTimeoutMs: isSilent ? IMPATIENT_MS : PATIENT_MS,
      observer: {
        onIdle: (connection) => {
          if (connection.inFlight > 0) {
            this.complain(`onIdle with ${connection.inFlight} in flight`);
          }
          if (this.reports.length > 0) this.complain("onIdle after the end");
        },
        onClose: (connection, report) => {
          this.reports.push(report);
          if (connection.report !== report) {
            this.complain("onClose has another report than the connection");
          }
        },
      },
    });
    this.connection.established({ clientId: 1 });
  }

  complain(sentence: string): void {
    this.violations.push(sentence);
  }

  fault<Kind extends Fault["kind"]>(
    kind: Kind,
  ): Extract<Fault, { kind: Kind }> | undefined {
    return this.script.faults.find((fault) => fault.kind === kind) as
      | Extract<Fault, { kind: Kind }>
      | undefined;
  }

  /** The bytes of all commands, `[from, to)`. */
  commandBytes(from: number, to: number): Uint8Array {
    return this.#sent.subarray(from, to);
  }

  async play(): Promise<void> {
    this.#closeIfDue();
    for (const { pause } of this.script.steps) {
      for (let i = 0; i < pause; i++) await turn();
      this.#push();
    }
    await this.#untilNothingComes();
    this.#checkEnding();
    this.connection.close();
    this.connection.close("a second time");
    this.#push(this.script.steps[0]);
    for (let i = 0; i < 4; i++) await turn();
    this.#checkSlots();
    this.#checkReplies();
    this.#checkReport();
  }

  #push(step: Step | undefined = this.script.steps[this.#next++]): void {
    if (step === undefined) return;
    const bytes = encodeCommand(step.command);
    const from = this.#sent.length;
    const isLate = this.connection.report !== undefined;
    const pushed: Pushed = {
      step,
      from,
      to: from + bytes.length,
      isLate,
      outcomes: [],
    };
    (isLate ? this.late : this.alive).push(pushed);
    if (!isLate) this.#sent = concat(this.#sent, bytes);
    if (step.reply === undefined) {
      return this.connection.pushUnanswered(step.command);
    }
    this.open++;
    this.connection.push(this.#slot(pushed));
  }

  #slot({ step, outcomes }: Pushed): Slot {
    const concluded = () => {
      if (outcomes.length === 1) this.open--;
      for (let i = 0; i < step.breeds; i++) this.#push();
    };
    return {
      command: step.command,
      binary: step.binary,
      extraReplyTimeoutMs: 0,
      resolve: (reply) => {
        if (this.reports.length > 0) this.complain("a reply after the end");
        const { offered } = this.socket;
        outcomes.push({ reply, place: this.settled++, offered });
        concluded();
        this.#closeIfDue();
      },
      lose: (loss) => {
        if (this.reports[0] !== loss.report) {
          this.complain("a slot is lost before onClose or by another report");
        }
        outcomes.push({ loss });
        concluded();
      },
    };
  }

  #closeIfDue(): void {
    if (this.fault("close")?.settled === this.settled) {
      this.connection.close("the script says so");
    }
  }

  async #untilNothingComes(): Promise<void> {
    const giveUpAt = performance.now() + HANG_MS;
    let progress = -1;
    for (let still = 0; still < STUCK_TURNS;) {
      await turn();
      const { events, isSilent } = this.socket;
      still = events === progress ? still + 1 : 0;
      progress = events;
      // Here time must do it, and it is real time.
      if (isSilent && this.open > 0 && this.reports.length === 0) {
        if (performance.now() > giveUpAt) {
          return this.complain(`${this.open} slots wait for a silent peer`);
        }
        still = 0;
        await delay(5);
      }
    }
  }

  /** How it ended by itself, where the script leaves no choice. */
  #checkEnding(): void {
    const { faults } = this.script;
    const { report } = this.connection;
    const [fault] = faults;
    if (fault === undefined) {
      if (report !== undefined) {
        this.complain(`it ended for no reason: ${report.how}, ${report.cause}`);
      }
      if (this.open > 0) this.complain(`${this.open} slots were forgotten`);
      const { accepted } = this.socket;
      if (accepted !== this.#sent.length) {
        this.complain(`${accepted} of ${this.#sent.length} bytes were written`);
      }
    }
    if (faults.length !== 1 || report === undefined) return;
    const expected: readonly ClosedHow[] = fault!.kind === "tamper"
      ? ["protocol-error"]
      : fault!.kind === "silence"
      ? ["silence"]
      : fault!.kind === "close"
      ? ["requested"]
      : fault!.kind === "lie"
      ? ["rst"]
      : fault!.by === "eof"
      ? ["fin"]
      : fault!.by === "alert"
      ? ["tls-alert"]
      : [ERRORS[fault!.by]];
    if (!expected.includes(report.how)) {
      this.complain(`it ended by ${report.how} after ${fault!.kind}`);
    }
  }

  /** Each is settled or lost, once; replies in order; fates that are true. */
  #checkSlots(): void {
    const { accepted, offered } = this.socket;
    const isTampered = this.fault("tamper") !== undefined;
    let place = 0;
    let isOver = false;
    for (const [n, pushed] of [...this.alive, ...this.late].entries()) {
      const { step, outcomes, from, isLate } = pushed;
      if (step.reply === undefined) continue;
      const [outcome] = outcomes;
      if (outcomes.length !== 1 || outcome === undefined) {
        this.complain(`slot ${n} has ${outcomes.length} outcomes`);
      } else if ("reply" in outcome) {
        if (isOver) this.complain(`slot ${n} is settled, one before it lost`);
        if (outcome.place !== place++) {
          this.complain(`slot ${n} is out of turn`);
        }
        if (from >= outcome.offered) {
          this.complain(`slot ${n} is settled before its command was sent`);
        }
        // A reply too many may answer the next command before it has left.
        if (pushed.to > accepted && !isTampered) {
          this.complain(`slot ${n} is settled, and was not written`);
        }
      } else {
        isOver = true;
        const { fate } = outcome.loss;
        const expected = isLate || from >= offered ? "unsent" : "unknown";
        if (fate !== expected) {
          this.complain(`slot ${n} is ${fate}, and was ${expected}`);
        }
      }
    }
  }

  /** The n-th whole reply on the wire is the n-th slot's, and nothing else is. */
  #checkReplies(): void {
    const { handled, delivered } = this.socket;
    const wire = concat(...delivered);
    const answered = this.alive.filter(({ step }) => step.reply !== undefined);
    const untampered = answered.findIndex(({ step }) =>
      step.wire !== step.reply
    );
    let end = 0;
    for (const [n, { step, outcomes: [outcome] }] of answered.entries()) {
      const next = readReply(wire, end, step.binary);
      if (outcome !== undefined && "loss" in outcome) {
        const isOwed = next !== undefined && next[1] <= handled &&
          (untampered < 0 || n < untampered) &&
          this.reports[0]?.how !== "requested";
        if (isOwed) this.complain(`slot ${n} is lost, its reply had come`);
        const { untouched, report } = outcome.loss;
        const mayTell = handled === wire.length && report.by !== "client";
        if (mayTell && handled > end && untouched && !isProtocol(report)) {
          this.complain(`slot ${n} is called untouched, its reply was cut`);
        }
        if (handled === wire.length && handled === end && !untouched) {
          this.complain(`slot ${n} is called touched, nothing had come`);
        }
        break;
      }
      if (outcome === undefined) break;
      if (next === undefined) {
        this.complain(`slot ${n} is settled by a reply that is not whole`);
        break;
      }
      if (!isSame(outcome.reply, next[0])) {
        this.complain(
          `slot ${n} got ${Deno.inspect(outcome.reply)}, its reply was ${
            Deno.inspect(next[0])
          }`,
        );
      }
      end = next[1];
    }
    const isOver = answered.every(({ outcomes: [o] }) => o && "reply" in o);
    if (isOver && handled > end) {
      this.complain(`${handled - end} unasked bytes are ignored`);
    }
  }

  #checkReport(): void {
    const [report, ...more] = this.reports;
    if (report === undefined || more.length > 0) {
      return this.complain(`onClose was called ${this.reports.length} times`);
    }
    const { socket } = this;
    const lost = this.alive.filter(({ outcomes: [o] }) => o && "loss" in o);
    const bytesIn = socket.delivered.reduce(
      (sum, { length }) => sum + length,
      0,
    );
    const claims: [what: string, claim: number, least: number, most: number][] =
      [
        ["commandsServed", report.commandsServed, this.settled, this.settled],
        ["inFlight", report.inFlight, lost.length, lost.length],
        ["bytesIn", report.bytesIn, socket.handled, bytesIn],
        ["bytesOut", report.bytesOut, socket.acceptedAtClose, socket.offered],
      ];
    for (const [what, claim, least, most] of claims) {
      if (claim >= least && claim <= most) continue;
      this.complain(`${what} is ${claim}, not from ${least} to ${most}`);
    }
    if (this.connection.inFlight > 0) {
      this.complain(`${this.connection.inFlight} are in flight after the end`);
    }
    if (!socket.isClosed) this.complain("the socket was not closed");
  }
}

const isProtocol = ({ how }: CloseReport): boolean => how === "protocol-error";

/** A later turn of the event loop. */
const turn = (): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, 0));

/** A peer in memory that answers each command when it has come whole. */
class WildSocket implements Socket {
  readonly #round: Round;
  readonly #answers: Uint8Array[] = [];
  #answered = 0;
  #reads = 0;
  #writes = 0;
  #isReading = false;
  #isWriting = false;
  #wake: () => void = () => {};
  /** Whatever happened here. */
  events = 0;
  isClosed = false;
  /** What reads came back with. */
  readonly delivered: Uint8Array[] = [];
  #deliveredBytes = 0;
  /** How much of it the connection has dealt with, since it asked for more. */
  handled = 0;
  offered = 0;
  accepted = 0;
  acceptedAtClose = 0;

  constructor(round: Round) {
    this.#round = round;
  }

  /** The peer has said its last word. */
  get isSilent(): boolean {
    const { after } = this.#round.fault("silence") ?? {};
    return after !== undefined && this.#deliveredBytes >= after;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    this.#look("read", this.#isReading);
    if (buffer.length === 0) this.#round.complain("a read into no room");
    this.#isReading = true;
    if (!this.isClosed) this.handled = this.#deliveredBytes;
    const { reads, lateRead } = this.#round.script;
    try {
      await this.#wait();
      const end = this.#round.fault("end");
      const limit = Math.min(
        end?.after ?? Infinity,
        this.#round.fault("silence")?.after ?? Infinity,
      );
      while (!this.isClosed) {
        this.#answer();
        const left = limit - this.#deliveredBytes;
        if (left <= 0 && end?.after === limit) return endWith(end.by);
        if (left > 0 && this.#answers.length > 0) {
          const piece = reads[this.#reads++ % reads.length]!;
          return this.#deliver(buffer, Math.min(piece, left));
        }
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      }
      if (!lateRead) throw new Deno.errors.BadResource("the socket is closed");
      const late = latin1("+OK\r\n");
      buffer.set(late.subarray(0, buffer.length));
      return Math.min(late.length, buffer.length);
    } finally {
      this.#isReading = false;
      this.events++;
    }
  }

  async write(bytes: Uint8Array): Promise<number> {
    this.#look("write", this.#isWriting);
    this.#isWriting = true;
    const { writes } = this.#round.script;
    const number = this.#writes++;
    this.offered = Math.max(this.offered, this.accepted + bytes.length);
    try {
      await this.#wait();
      if (this.isClosed) throw new Deno.errors.BadResource("closed");
      const lie = this.#round.fault("lie");
      if (lie?.write === number) return lie.count;
      const refusal = this.#round.fault("refuse");
      const left = (refusal?.after ?? Infinity) - this.accepted;
      if (left <= 0) throw errorOf(refusal!.by);
      const most = writes[number % writes.length]!;
      const count = Math.min(bytes.length, most, left);
      const expected = this.#round.commandBytes(
        this.accepted,
        this.accepted + count,
      );
      if (!isSame(bytes.subarray(0, count), expected)) {
        this.#round.complain("other bytes are written than were pushed");
      }
      this.accepted += count;
      this.#wake();
      return count;
    } finally {
      this.#isWriting = false;
      this.events++;
    }
  }

  close(): void {
    if (this.isClosed) this.#round.complain("it closes its socket twice");
    this.isClosed = true;
    this.acceptedAtClose = this.accepted;
    this.events++;
    this.#wake();
  }

  #look(what: string, isBusy: boolean): void {
    this.events++;
    if (isBusy) this.#round.complain(`a ${what} during a ${what}`);
    if (what === "write" && this.#round.reports.length > 0) {
      this.#round.complain(`a ${what} after the end`);
    }
  }

  async #wait(): Promise<void> {
    const { waits } = this.#round.script;
    const turns = waits[(this.#reads + this.#writes) % waits.length]!;
    for (let i = 0; i < turns; i++) await turn();
  }

  /** Answers the commands that have come whole. */
  #answer(): void {
    const { alive } = this.#round;
    while ((alive[this.#answered]?.to ?? Infinity) <= this.accepted) {
      const { wire } = alive[this.#answered++]!.step;
      if (wire.length > 0) this.#answers.push(wire);
    }
  }

  #deliver(buffer: Uint8Array, most: number): number {
    let filled = 0;
    const room = Math.min(buffer.length, most);
    while (filled < room && this.#answers.length > 0) {
      const piece = this.#answers[0]!.subarray(0, room - filled);
      buffer.set(piece, filled);
      filled += piece.length;
      const rest = this.#answers.shift()!.subarray(piece.length);
      if (rest.length > 0) this.#answers.unshift(rest);
    }
    this.delivered.push(buffer.slice(0, filled));
    this.#deliveredBytes += filled;
    return filled;
  }
}

function endWith(by: Ending): null {
  if (by === "eof") return null;
  if (by === "alert") throw new Error("received fatal alert: InternalError");
  throw errorOf(by);
}

const errorOf = (name: ErrorName): Error =>
  new Deno.errors[name](`${name} of the fuzz`);

/** Counts what still listens to a timeout: that is a timer which runs. */
class TimerWatch implements Disposable {
  readonly #original = AbortSignal.timeout;
  #watched: { signal: AbortSignal; listeners: Set<unknown> }[] = [];

  constructor() {
    AbortSignal.timeout = (ms) => {
      const signal = this.#original.call(AbortSignal, ms);
      const listeners = new Set<unknown>();
      this.#watched.push({ signal, listeners });
      const { addEventListener, removeEventListener } = signal;
      const watch = (
        name: "addEventListener" | "removeEventListener",
        original: typeof addEventListener,
        note: (listener: unknown) => void,
      ) =>
        Object.defineProperty(signal, name, {
          value: (type: string, listener: EventListener) => {
            note(listener);
            original.call(signal, type, listener);
          },
        });
      watch("addEventListener", addEventListener, (l) => listeners.add(l));
      watch(
        "removeEventListener",
        removeEventListener,
        (l) => listeners.delete(l),
      );
      return signal;
    };
  }

  /** Timers started and neither stopped nor over; forgets them. */
  running(): number {
    const running = this.#watched.filter(({ signal, listeners }) =>
      !signal.aborted && listeners.size > 0
    );
    this.#watched = [];
    return running.length;
  }

  [Symbol.dispose](): void {
    AbortSignal.timeout = this.#original;
  }
}

/** Notes errors that were not caught. */
class UncaughtWatch implements Disposable {
  readonly found: unknown[] = [];

  constructor() {
    addEventListener("unhandledrejection", this.#onRejection);
    addEventListener("error", this.#onError);
  }

  [Symbol.dispose](): void {
    removeEventListener("unhandledrejection", this.#onRejection);
    removeEventListener("error", this.#onError);
  }

  readonly #onRejection = (event: PromiseRejectionEvent): void => {
    event.preventDefault();
    this.found.push(event.reason);
  };

  readonly #onError = (event: ErrorEvent): void => {
    event.preventDefault();
    this.found.push(event.error);
  };
}

/** Writes a script to a file and says where. */
function keep(script: Script, violations: readonly string[]): string {
  const path = Deno.makeTempFileSync({
    prefix: "connection-fuzz-",
    suffix: ".json",
  });
  const plain = (_: string, value: unknown): unknown =>
    value instanceof Uint8Array
      ? { latin1: Array.from(value, (b) => String.fromCharCode(b)).join("") }
      : value;
  Deno.writeTextFileSync(
    path,
    JSON.stringify({ violations, script }, plain, 2),
  );
  return path;
}

Deno.test("A connection keeps its promises whatever its socket does", {
  timeout: 240_000,
}, async () => {
  const author = new Author();
  const only = numberFromEnv("ROUND", -1);
  const rounds = only < 0 ? searchLength(ROUNDS) : only + 1;
  const failures: string[] = [];
  const endings: Record<string, number> = {};
  using timers = new TimerWatch();
  using uncaught = new UncaughtWatch();

  for (let first = 0; first < rounds && failures.length < 5;) {
    const scripts = Array.from(
      { length: Math.min(AT_ONCE, rounds - first) },
      () => author.script(),
    );
    await Promise.all(scripts.map(async (script, i) => {
      const number = first + i;
      if (only >= 0 && number !== only) return;
      const round = new Round(script);
      await round.play();
      const how = round.reports[0]?.how ?? "none";
      endings[how] = (endings[how] ?? 0) + 1;
      const { violations } = round;
      if (violations.length === 0) return;
      failures.push(
        `ROUND=${number}: ${violations.slice(0, 5).join("; ")}; kept in ${
          keep(script, violations)
        }`,
      );
    }));
    first += scripts.length;
    const running = timers.running();
    if (running > 0) {
      failures.push(`rounds before ${first}: ${running} timers still run`);
    }
    for (const error of uncaught.found.splice(0)) {
      failures.push(`rounds before ${first}: not caught: ${error}`);
    }
  }
  console.log(`${rounds} rounds ended so: ${JSON.stringify(endings)}`);
  assertEquals(failures, []);
});
