// One command on a shared connection.
import { ReplyError } from "../resp/errors.ts";
import type { Command, Reply } from "../resp/types.ts";
import type { Loss, Slot } from "../pool/connection/in_flight.ts";
import type {
  ConnectionFacts,
  PushRight,
} from "../pool/connection/push_right.ts";
import { Call, type CallEngine, pushAsking } from "./call.ts";
import { errorOf, showsReplica } from "./command_error.ts";
import { lossFailure, replyFailure } from "./failure.ts";
import type { SendOptions } from "./send_options.ts";

/**
 * One command, a copy that nothing outside can change: what is sent again is
 * what was sent. It is its own slot: an object for that would cost
 * 10 ns of the 100 from the start of a call to its outcome.
 */
export class SingleCall extends Call implements Slot {
  command: Command;
  /** The connection of its last attempt. */
  connection: ConnectionFacts | undefined;
  readonly #resolve: (reply: Reply | Promise<never>) => void;

  constructor(
    engine: CallEngine,
    command: Command,
    options: SendOptions,
    resolve: (reply: Reply | Promise<never>) => void,
    reject: (reason: unknown) => void,
  ) {
    super(engine, options, reject);
    this.command = command;
    this.#resolve = resolve;
  }

  get name(): string {
    return this.command[0];
  }

  get need(): "shared" {
    return "shared";
  }

  get binary(): boolean {
    return this.options.binary === true;
  }

  get extraReplyTimeoutMs(): number {
    return 0;
  }

  sendOn(right: PushRight): void {
    this.connection = right.connection;
    this.enter("in-flight");
    try {
      if (this.isDetour) pushAsking(right);
      right.push(this);
    } catch (error) {
      this.enter("deciding");
      this.reject(error as Error);
    }
  }

  protected override resolveWith(failed: Promise<never>): void {
    this.#resolve(failed);
  }

  /** The reply has come. */
  resolve(reply: Reply): void {
    if (reply instanceof ReplyError || Array.isArray(reply)) {
      this.#leaveReplica(reply);
    }
    if (this.isDone) return; // the caller has left
    if (reply instanceof ReplyError) return this.#refused(reply);
    this.finish();
    this.engine.ended(true);
    this.#resolve(reply);
  }

  /** The connection ended before the reply came. */
  lose(loss: Loss): void {
    if (this.isDone) return;
    this.enter("deciding");
    this.engine.failed(
      this,
      lossFailure([{ loss, command: this.command }], this.options.replay),
    );
  }

  /** A demoted primary is left, even if the caller has left before. */
  #leaveReplica(reply: Reply): void {
    if (!showsReplica(this.command, reply)) return;
    this.server!.leaveReplica(this.connection!);
  }

  #refused(reply: ReplyError): void {
    this.enter("deciding");
    const { identity } = this.connection!;
    this.engine.failed(
      this,
      replyFailure(errorOf(this.command, reply, identity)),
    );
  }
}
