// A pipeline in a cluster: its commands by hash slot, each group a call of its own.
import { ReplyError } from "../resp/errors.ts";
import type { Command, Reply } from "../resp/types.ts";
import type { CallEngine } from "./call.ts";
import type { CallStart } from "./call_start.ts";
import { fateOf, noteAbort, withFate } from "./fate.ts";
import { PipelineCall } from "./pipeline_call.ts";
import { PipelineError } from "./pipeline_error.ts";
import { rejection, withErrors } from "./rejection.ts";
import type { SendOptions } from "./send_options.ts";
import { redirectOf } from "./servers/redirect.ts";
import { hashSlotOfCommand, isOfScript, routingTo } from "./servers/routing.ts";

/** Commands of one hash slot, or those that any server can run. */
interface Group {
  readonly hashSlot: number;
  readonly commands: Command[];
  /** Which commands of the pipeline they are. */
  readonly indexes: number[];
}

/**
 * Sends a pipeline whose commands may go to several servers.
 *
 * - The commands of one hash slot keep their order. What is sent to other hash
 *   slots may run before or after.
 * - All are pushed in the same turn, so that each server gets them in one write.
 * - Each hash slot has its own attempts: what moves or fails does not touch the others.
 * - The promise is settled when every command has an outcome: with a
 *   `PipelineError` if some have no reply.
 *
 * @throws {TypeError} If a command cannot be sent to a cluster; none has been then.
 * @throws What the start of a call throws; nothing has been sent then.
 */
export function startSplit(pipeline: CallStart): void {
  const { attempts, router, commands, options, resolve, reject } = pipeline;
  const groups = groupsOf(commands);
  if (groups.length > 1) return new SplitPipeline(pipeline).start(groups);
  const call = new HashSlotCall(attempts, commands, options, resolve, reject);
  call.routing = routingTo(groups[0]!.hashSlot);
  attempts.start(call, router);
}

/**
 * Groups commands by hash slot, in the order in which the hash slots first appear.
 *
 * @throws {TypeError} If each server would answer one of them for itself.
 */
function groupsOf(commands: readonly Command[]): Group[] {
  const groups = new Map<number, Group>();
  for (const [i, command] of commands.entries()) {
    const hashSlot = hashSlotOfCommand(command);
    const group = groups.get(hashSlot);
    if (group === undefined) {
      groups.set(hashSlot, { hashSlot, commands: [command], indexes: [i] });
    } else {
      group.commands.push(command);
      group.indexes.push(i);
    }
  }
  return [...groups.values()];
}

/** The commands of one hash slot: an attempt after MOVED or ASK sends those again that were redirected. */
class HashSlotCall extends PipelineCall {
  protected override isRedirect(command: Command, reply: ReplyError): boolean {
    const redirect = redirectOf(reply);
    return redirect !== undefined &&
      !isOfScript(command, redirect, this.routing!);
  }
}

/** A pipeline of several groups. */
class SplitPipeline {
  readonly #pipeline: CallStart;
  readonly #outcomes: (Reply | Error)[];
  #open = 0; // groups without an outcome
  #mayHaveRun = false; // at least one command
  #hasErrors = false;
  #cause: Error | undefined;
  #abort: { readonly reason: unknown } | undefined;

  constructor(pipeline: CallStart) {
    this.#pipeline = pipeline;
    this.#outcomes = new Array(pipeline.commands.length).fill(null);
  }

  /** @throws What the start of the first call throws: nothing was sent then. */
  start(groups: readonly Group[]): void {
    const { attempts, router, options } = this.#pipeline;
    this.#open = groups.length;
    const calls = groups.map((group) =>
      new GroupCall(attempts, this, group, options)
    );
    for (const [i, call] of calls.entries()) {
      try {
        attempts.start(call, router);
      } catch (error) {
        if (i === 0) throw error;
        // A callback of the user's own has closed the client, or aborted, meanwhile.
        const { indexes } = groups[i]!;
        const refused = withFate(error as Error, "unsent");
        this.failed(indexes, indexes.map(() => refused), refused);
      }
    }
  }

  /** A group was answered. */
  answered(indexes: readonly number[], replies: readonly Reply[]): void {
    this.#mayHaveRun = true;
    for (let n = 0; n < indexes.length; n++) {
      const reply = replies[n]!;
      if (reply instanceof ReplyError) this.#hasErrors = true;
      this.#outcomes[indexes[n]!] = reply;
    }
    this.#concluded();
  }

  /** A group has ended with commands that have no reply. */
  failed(
    indexes: readonly number[],
    outcomes: readonly (Reply | Error)[],
    cause: Error,
  ): void {
    this.#cause ??= cause;
    this.#mayHaveRun ||= outcomes.some((one) =>
      !(one instanceof Error) || fateOf(one) !== "unsent"
    );
    for (let n = 0; n < indexes.length; n++) {
      this.#outcomes[indexes[n]!] = outcomes[n]!;
    }
    this.#concluded();
  }

  /** The signal has aborted a group, and every other one that is open. */
  aborted(reason: unknown): void {
    this.#abort = { reason };
    this.#concluded();
  }

  #concluded(): void {
    if (--this.#open > 0) return;
    const { resolve, reject } = this.#pipeline;
    if (this.#abort !== undefined) {
      const { reason } = this.#abort;
      if (this.#mayHaveRun) noteAbort(reason, "unknown");
      reject(reason);
    } else if (this.#cause !== undefined) {
      const error = new PipelineError(this.#outcomes, this.#cause);
      resolve(rejection(error, error.fate));
    } else {
      const replies = this.#outcomes as Reply[];
      resolve(this.#hasErrors ? withErrors(replies) : replies);
    }
  }
}

/** One group of a pipeline of several. */
class GroupCall extends HashSlotCall {
  readonly #split: SplitPipeline;
  readonly #indexes: readonly number[];

  constructor(
    engine: CallEngine,
    split: SplitPipeline,
    { hashSlot, commands, indexes }: Group,
    options: SendOptions,
  ) {
    super(
      engine,
      commands,
      options,
      (replies) => split.answered(indexes, replies as Reply[]),
      (reason) => split.aborted(reason),
    );
    this.routing = routingTo(hashSlot);
    this.#split = split;
    this.#indexes = indexes;
  }

  override reject(error: Error): void {
    if (this.isDone) return;
    const { outcomes } = this.pipelineError(error);
    this.finish();
    this.engine.ended(error instanceof ReplyError);
    this.#split.failed(this.#indexes, outcomes, error);
  }

  protected override withErrors(replies: Reply[]): Reply[] {
    return replies;
  }
}
