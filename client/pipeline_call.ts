// Several commands on a shared connection, at once and in order.
import { ReplyError } from "../resp/errors.ts";
import type { Command, Reply } from "../resp/types.ts";
import { checkCommand } from "../resp/command.ts";
import type { Loss, Slot } from "../pool/connection/in_flight.ts";
import type {
  ConnectionFacts,
  PushRight,
} from "../pool/connection/push_right.ts";
import { Call, type CallEngine, pushAsking } from "./call.ts";
import { CommandError, errorOf, showsReplica } from "./command_error.ts";
import {
  type Failure,
  isPassingRefusal,
  lossFailure,
  type LostCommand,
  replyFailure,
} from "./failure.ts";
import { noteAbort } from "./fate.ts";
import { asUnsent, PipelineError } from "./pipeline_error.ts";
import { withErrors } from "./rejection.ts";
import type { SendOptions } from "./send_options.ts";

/**
 * The commands of a pipeline.
 *
 * - All are sent or, if one of them cannot be, none.
 * - An attempt sends what is left: the commands without a final reply, in order.
 * - Error replies are values; only if the server ran none of what was sent, for
 *   reasons that pass, is all of that sent again.
 * - If it ends while some are answered and some not, a `PipelineError` says what
 *   became of each.
 */
export class PipelineCall extends Call {
  readonly #commands: readonly Command[];
  readonly #resolve: (replies: Reply[] | Promise<Reply[]>) => void;
  /** By index. Those of commands that are left are not final. */
  readonly #replies: Reply[] = [];
  #hasErrors = false;
  #connection: ConnectionFacts | undefined;
  /** The indexes of the commands that are left, in order; `undefined` while all are. */
  #left: readonly number[] | undefined;
  /** How many of these have no outcome yet in the attempt in flight: replies come in order, then losses. */
  #outstanding: number;
  #lost: LostCommand[] = [];
  #isInFlight = false;
  /** The indexes of commands that were lost in any attempt, and may have run. */
  #mayHaveRun: Set<number> | undefined;

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
    this.#outstanding = commands.length;
    this.#resolve = resolve;
  }

  get command(): Command | undefined {
    return this.#commands[this.#indexOf(this.#concluded)];
  }

  get name(): string {
    return this.command?.[0] ?? "PIPELINE";
  }

  get need(): "shared" {
    return "shared";
  }

  sendOn(right: PushRight): void {
    this.#connection = right.connection;
    this.#isInFlight = true;
    this.enter("in-flight");
    const { isDetour } = this;
    const left = this.#left;
    const length = this.#outstanding;
    for (let n = 0; n < length; n++) {
      const command = this.#commands[left === undefined ? n : left[n]!]!;
      try {
        if (isDetour) pushAsking(right);
        right.push(new PipelineSlot(this, command));
      } catch (error) {
        if (n === 0) { // else those before it are on their way
          this.#isInFlight = false;
          this.enter("deciding");
        }
        return this.reject(error as Error);
      }
    }
  }

  /** The reply to a command has come; replies come in order. */
  answered(command: Command, reply: Reply): void {
    if (reply instanceof ReplyError) this.#hasErrors = true;
    if (showsReplica(command, reply)) {
      this.server!.leaveReplica(this.#connection!);
    }
    // Worth 5 ns of a command: in the first attempt the replies come in the order of the indexes.
    if (this.#left === undefined) this.#replies.push(reply);
    else this.#replies[this.#indexOf(this.#concluded)] = reply;
    if (--this.#outstanding === 0) this.#conclude();
  }

  /** The connection ended before the reply to a command came. */
  lost(command: Command, loss: Loss): void {
    if (loss.fate === "unknown") {
      this.#mayHaveRun ??= new Set();
      this.#mayHaveRun.add(this.#indexOf(this.#concluded));
    }
    this.#lost.push({ command, loss });
    if (--this.#outstanding === 0) this.#conclude();
  }

  override reject(error: Error): void {
    if (!this.isDone) super.reject(this.failureOf(error));
  }

  override abort(reason: unknown): void {
    if (!this.isDone && this.#hasAnswers) noteAbort(reason, "unknown");
    super.abort(reason);
  }

  protected override resolveWith(failed: Promise<never>): void {
    this.#resolve(failed);
  }

  /** Whether an error reply sends a command to another server. */
  protected isRedirect(_command: Command, _reply: ReplyError): boolean {
    return false;
  }

  /** What it resolves with if there are errors among its replies. */
  protected withErrors(replies: Reply[]): Reply[] | Promise<Reply[]> {
    return withErrors(replies);
  }

  /** What it rejects with if `error` ends it. */
  protected failureOf(error: Error): Error {
    return this.#hasAnswers ? this.pipelineError(error) : error;
  }

  /** What became of each command if `error` ends it for those without a reply. */
  protected pipelineError(error: Error): PipelineError {
    const outcomes: (Reply | Error)[] = this.#replies.map((reply, i) =>
      this.#valueOf(i, reply)
    );
    const unsent = asUnsent(error);
    const mayHaveRun = new Set(this.#mayHaveRun);
    if (this.#isInFlight) {
      for (let n = this.#concluded; n < this.#length; n++) {
        mayHaveRun.add(this.#indexOf(n));
      }
    }
    for (const i of this.#unanswered()) {
      // What the server has refused last has an error of its own.
      if (
        error instanceof CommandError && outcomes[i] instanceof CommandError
      ) {
        continue;
      }
      outcomes[i] = mayHaveRun.has(i) ? error : unsent;
    }
    return new PipelineError(outcomes, error);
  }

  /** How many commands are left. */
  get #length(): number {
    return this.#left?.length ?? this.#commands.length;
  }

  /** How many of them have an outcome in the attempt in flight. */
  get #concluded(): number {
    return this.#length - this.#outstanding;
  }

  get #hasAnswers(): boolean {
    return this.#unanswered().length < this.#commands.length;
  }

  /** The index of the n-th of the commands that are left. */
  #indexOf(n: number): number {
    return this.#left === undefined ? n : this.#left[n]!;
  }

  /** The indexes of the commands without a final reply, in order. */
  #unanswered(): number[] {
    const answered = this.#concluded - this.#lost.length;
    const unanswered: number[] = [];
    for (let n = 0; n < this.#length; n++) {
      const i = this.#indexOf(n);
      if (n >= answered || this.#isRedirected(i)) unanswered.push(i);
    }
    return unanswered;
  }

  #isRedirected(i: number): boolean {
    const reply = this.#replies[i];
    return reply instanceof ReplyError &&
      this.isRedirect(this.#commands[i]!, reply);
  }

  /** A reply as its caller gets it. */
  #valueOf(i: number, reply: Reply): Reply {
    return reply instanceof ReplyError
      ? errorOf(this.#commands[i]!, reply, this.#connection!.identity)
      : reply;
  }

  /** Every command of the attempt has an outcome. */
  #conclude(): void {
    this.#isInFlight = false;
    if (this.isDone) return;
    this.enter("deciding");
    if (this.#lost.length > 0) {
      const failure = lossFailure(this.#lost, this.options.replay);
      return this.#failed(this.#unanswered(), failure);
    }
    if (!this.#hasErrors) return this.#succeed(this.#replies);
    this.#concludeWithErrors();
  }

  #concludeWithErrors(): void {
    const values = this.#replies.map((reply, i) => this.#valueOf(i, reply));
    const redirected = this.#unanswered();
    const sent = this.#left ?? values.map((_, i) => i);
    const hasRun = sent.some((i) =>
      !isPassingRefusal(values[i]!) && !this.#isRedirected(i)
    );
    const left = hasRun ? redirected : sent;
    if (left.length === 0) return this.#succeed(this.withErrors(values));
    const last = values[redirected.at(-1) ?? left[0]!];
    this.#failed(left, replyFailure(last as CommandError));
  }

  #succeed(replies: Reply[] | Promise<Reply[]>): void {
    this.finish();
    this.engine.ended(true);
    this.#resolve(replies);
  }

  /** The attempt has failed for the commands that are left. */
  #failed(left: readonly number[], failure: Failure): void {
    this.#left = left;
    this.#outstanding = left.length;
    this.#lost = [];
    this.engine.failed(this, failure);
  }
}

/** The place in flight of one command of a pipeline. */
class PipelineSlot implements Slot {
  readonly #call: PipelineCall;
  readonly command: Command;

  constructor(call: PipelineCall, command: Command) {
    this.#call = call;
    this.command = command;
  }

  get binary(): boolean {
    return this.#call.options.binary === true;
  }

  get extraReplyTimeoutMs(): number {
    return 0;
  }

  resolve(reply: Reply): void {
    this.#call.answered(this.command, reply);
  }

  lose(loss: Loss): void {
    this.#call.lost(this.command, loss);
  }
}
