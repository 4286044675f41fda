// A transaction on a shared connection: MULTI, its commands and EXEC in one push.
import { ReplyError } from "../resp/errors.ts";
import type { Command, Reply } from "../resp/types.ts";
import { checkCommand } from "../resp/command.ts";
import type { Loss, Slot } from "../pool/connection/in_flight.ts";
import type {
  ConnectionFacts,
  PushRight,
} from "../pool/connection/push_right.ts";
import { isNotRun, isPassing } from "../pool/connection/refusal.ts";
import { Call, type CallEngine, pushAsking } from "./call.ts";
import {
  CommandError,
  errorOf,
  repliesOfExec,
  showsReplica,
} from "./command_error.ts";
import { type Failure, lossFailure, replyFailure } from "./failure.ts";
import { withErrors } from "./rejection.ts";
import type { CallStart } from "./call_start.ts";
import type { SendOptions } from "./send_options.ts";

const MULTI: Command = ["MULTI"];
const EXEC: Command = ["EXEC"];

/**
 * Starts a transaction on the one server.
 *
 * @throws What the start of a call throws; nothing has been sent then.
 */
export function startTransaction(start: CallStart): void {
  const { attempts, router, commands, options, resolve, reject } = start;
  attempts.start(
    new TransactionCall(attempts, commands, options, resolve, reject),
    router,
  );
}

/**
 * The commands of a transaction.
 *
 * - No command of another caller comes between them: they are pushed in one turn.
 * - All run or none does, so they have one fate: that of EXEC.
 * - What may have run is sent again only if every command may run twice.
 * - A command that is refused when it is queued discards all; the error names it.
 */
export class TransactionCall extends Call {
  readonly #commands: readonly Command[];
  readonly #resolve: (replies: Reply[] | Promise<Reply[]>) => void;
  #connection: ConnectionFacts | undefined;
  /** Of the present attempt: what MULTI and the commands were refused with. */
  #refusals: Refusal[] = [];
  #isOpen = false; // MULTI was obeyed
  #ranAlone = false; // MULTI was refused, and a command behind it was not
  #lossOfMulti: Loss | undefined;

  /** @throws {TypeError} If a command cannot be encoded. */
  constructor(
    engine: CallEngine,
    commands: readonly Command[],
    options: SendOptions,
    resolve: (replies: Reply[] | Promise<Reply[]>) => void,
    reject: (reason: unknown) => void,
  ) {
    super(engine, options, reject);
    commands.forEach(checkCommand);
    this.#commands = commands;
    this.#resolve = resolve;
  }

  get command(): Command {
    return this.#commands[0]!;
  }

  get name(): string {
    return "EXEC";
  }

  override get purpose(): string {
    return "send a transaction";
  }

  get need(): "shared" {
    return "shared";
  }

  sendOn(right: PushRight): void {
    this.#connection = right.connection;
    this.#refusals = [];
    this.#isOpen = this.#ranAlone = false;
    this.#lossOfMulti = undefined;
    this.enter("in-flight");
    try {
      // While a transaction is open, ASKING holds for all of its commands.
      if (this.isDetour) pushAsking(right);
      for (const command of [MULTI, ...this.#commands]) {
        right.push(new QueuedSlot(this, command));
      }
      right.push(new ExecSlot(this));
    } catch (error) {
      right.close("a transaction could not be sent"); // it must not stay open
      this.enter("deciding");
      this.reject(error as Error);
    }
  }

  /** MULTI or a command was answered. */
  queued(command: Command, reply: Reply): void {
    this.#leaveReplica(command, reply);
    const isRefusal = reply instanceof ReplyError;
    if (isRefusal) this.#refusals.push({ command, reply });
    if (command === MULTI) this.#isOpen = !isRefusal;
    else if (!this.#isOpen && !(isRefusal && isNotRun(reply))) {
      this.#ranAlone = true;
    }
  }

  /** MULTI or a command was lost. */
  notQueued(command: Command, loss: Loss): void {
    if (command === MULTI) this.#lossOfMulti = loss;
  }

  /** EXEC was answered. */
  answered(reply: Reply): void {
    this.#leaveReplica(EXEC, reply);
    if (this.isDone) return;
    this.enter("deciding");
    if (Array.isArray(reply)) return this.#succeed(reply);
    this.engine.failed(this, this.#failureOf(reply));
  }

  /** EXEC was lost: only if it was written, anything can have run. */
  lost(loss: Loss): void {
    if (this.isDone) return;
    this.enter("deciding");
    const first = this.#lossOfMulti ?? { ...loss, untouched: false };
    const ofAll = { ...first, fate: loss.fate };
    this.engine.failed(
      this,
      lossFailure(
        this.#commands.map((command) => ({ command, loss: ofAll })),
        this.options.replay,
      ),
    );
  }

  protected override resolveWith(failed: Promise<never>): void {
    this.#resolve(failed);
  }

  #leaveReplica(command: Command, reply: Reply): void {
    if (!showsReplica(command, reply)) return;
    this.server!.leaveReplica(this.#connection!);
  }

  #succeed(replies: Reply[]): void {
    this.finish();
    this.engine.ended(true);
    const values = repliesOfExec(replies, (i) => this.#commands[i]![0]);
    const hasErrors = values.some((value) => value instanceof ReplyError);
    this.#resolve(hasErrors ? withErrors(values) : values);
  }

  /** What it means that EXEC was answered with no list of replies. */
  #failureOf(reply: Reply): Failure {
    const { identity } = this.#connection!;
    const refusal = this.#refusal();
    if (refusal === undefined) {
      return replyFailure(
        reply instanceof ReplyError
          ? errorOf(EXEC, reply, identity)
          : new CommandError(`ERR EXEC answered ${reply}`, "EXEC", "unsent"),
      );
    }
    const { command, reply: said } = refusal;
    const [name] = command;
    const { message } = errorOf(command, said, identity);
    const error = new CommandError(message, name, "unsent");
    if (this.#ranAlone) return replyFailure(ranAlone(error));
    const isOfTransaction = command === MULTI || mayPass(said);
    return replyFailure(isOfTransaction ? error : discarded(error));
  }

  /** The refusal that decides: MULTI's, one that stays, else the last redirect, else the first. */
  #refusal(): Refusal | undefined {
    const refusals = this.#refusals;
    if (!this.#isOpen) return refusals[0];
    return refusals.find(({ reply }) => !mayPass(reply)) ??
      refusals.findLast(({ reply }) => isRedirect(reply)) ?? refusals[0];
  }
}

/** The error of a transaction of which a command was refused. */
export const discarded = ({ message, command }: CommandError): CommandError =>
  new CommandError(
    `EXECABORT Transaction discarded, since ${command} was refused: ${message}`,
    command,
    "unsent",
  );

/** The error of a transaction that was none, since MULTI was refused: by an ACL, or where it was renamed. */
export const ranAlone = ({ message }: CommandError): CommandError =>
  new CommandError(
    `${message} (MULTI was refused: the commands behind it ran one by one)`,
    "MULTI",
    "unknown",
  );

/** An error reply in the place of "OK" or "QUEUED". */
interface Refusal {
  readonly command: Command;
  readonly reply: ReplyError;
}

const isRedirect = ({ code }: ReplyError): boolean =>
  code === "MOVED" || code === "ASK";

const mayPass = (reply: ReplyError): boolean =>
  isPassing(reply) || isRedirect(reply);

/** The place in flight of MULTI, or of a command that it queues. */
class QueuedSlot implements Slot {
  readonly command: Command;
  readonly binary = false;
  readonly extraReplyTimeoutMs = 0;
  readonly #call: TransactionCall;

  constructor(call: TransactionCall, command: Command) {
    this.#call = call;
    this.command = command;
  }

  resolve(reply: Reply): void {
    this.#call.queued(this.command, reply);
  }

  lose(loss: Loss): void {
    this.#call.notQueued(this.command, loss);
  }
}

/** The place in flight of EXEC. */
class ExecSlot implements Slot {
  readonly command = EXEC;
  readonly binary: boolean;
  readonly extraReplyTimeoutMs = 0;
  readonly #call: TransactionCall;

  constructor(call: TransactionCall) {
    this.#call = call;
    this.binary = call.options.binary === true;
  }

  resolve(reply: Reply): void {
    this.#call.answered(reply);
  }

  lose(loss: Loss): void {
    this.#call.lost(loss);
  }
}
