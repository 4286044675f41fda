// Several commands on a shared connection, at once and in order.
import { ReplyError } from "../resp/errors.ts";
import type { Command, Reply } from "../resp/types.ts";
import { checkCommand } from "../resp/command.ts";
import type { Loss, Slot } from "../pool/connection/in_flight.ts";
import type {
  ConnectionFacts,
  PushRight,
} from "../pool/connection/push_right.ts";
import { Call, type CallEngine } from "./call.ts";
import { CommandError, errorOf, showsReplica } from "./command_error.ts";
import {
  isPassingRefusal,
  lossFailure,
  type LostCommand,
  replyFailure,
} from "./failure.ts";
import { withErrors } from "./rejection.ts";
import type { SendOptions } from "./send_options.ts";

/**
 * The commands of a pipeline.
 *
 * - All are sent or, if one of them cannot be, none.
 * - After a loss the next attempt begins with the first command that has no reply.
 * - Error replies are values; only if the server ran none of the commands, for
 *   reasons that pass, are they sent again.
 */
export class PipelineCall extends Call {
  readonly #commands: readonly Command[];
  readonly #resolve: (replies: Reply[] | Promise<Reply[]>) => void;
  #replies: Reply[] = [];
  #hasErrors = false;
  #connection: ConnectionFacts | undefined;
  /** Of the present attempt: commands without an outcome, and those that were lost. */
  #outstanding = 0;
  #lost: LostCommand[] = [];

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

  get command(): Command | undefined {
    return this.#commands[this.#replies.length];
  }

  get name(): string {
    return this.command?.[0] ?? "PIPELINE";
  }

  get need(): "shared" {
    return "shared";
  }

  sendOn(right: PushRight): void {
    this.#connection = right.connection;
    const first = this.#replies.length;
    this.#outstanding = this.#commands.length - first;
    this.#lost = [];
    this.enter("in-flight");
    for (let i = first; i < this.#commands.length; i++) {
      try {
        right.push(new PipelineSlot(this, this.#commands[i]!));
      } catch (error) {
        if (i === first) this.enter("deciding"); // else those before it are on their way
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
    this.#replies.push(reply);
    this.#concluded();
  }

  /** The connection ended before the reply to a command came. */
  lost(command: Command, loss: Loss): void {
    this.#lost.push({ command, loss });
    this.#concluded();
  }

  protected override resolveWith(failed: Promise<never>): void {
    this.#resolve(failed);
  }

  #concluded(): void {
    if (--this.#outstanding > 0 || this.isDone) return;
    this.enter("deciding");
    if (this.#lost.length === 0) return this.#allAnswered();
    this.engine.failed(
      this,
      lossFailure(this.#lost, this.options.replay, this.#replies.length),
    );
  }

  #allAnswered(): void {
    const replies = this.#hasErrors
      ? this.#replies.map((reply, i) =>
        reply instanceof ReplyError
          ? errorOf(this.#commands[i]!, reply, this.#connection!.identity)
          : reply
      )
      : this.#replies;
    const [first] = replies;
    if (first instanceof CommandError && replies.every(isPassingRefusal)) {
      this.#replies = []; // the server ran none of them
      this.#hasErrors = false;
      return this.engine.failed(this, replyFailure(first));
    }
    this.finish();
    this.engine.ended(true);
    this.#resolve(this.#hasErrors ? withErrors(replies) : replies);
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
