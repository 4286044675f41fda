// Code that servers hold, scripts and libraries: it is called by name, and loaded where it is missing.
import { ReplyError } from "../resp/errors.ts";
import type { Command, CommandArgument, Reply } from "../resp/types.ts";
import type { Loss, Slot } from "../pool/connection/in_flight.ts";
import type { PushRight } from "../pool/connection/push_right.ts";
import type { CallEngine } from "./call.ts";
import { callerOf } from "./caller.ts";
import { CommandError, showsReplica } from "./command_error.ts";
import { replyFailure } from "./failure.ts";
import {
  type CommandSender,
  NO_OPTIONS,
  type SendOptions,
} from "./send_options.ts";
import type { Server } from "./servers/server.ts";
import { SingleCall } from "./single_call.ts";

/**
 * Code that servers hold.
 *
 * - A call names it. Only where a server does not have it, it is sent to that
 *   server as well, on the connection that has said so.
 * - Several calls that find it missing at the same time wait for the first one to load it.
 */
export abstract class StoredCode {
  /** By a server that is being sent it: the calls that wait for that. */
  readonly loads: Map<Server, Set<CodeCall>> = new Map();

  /** Whether an error reply says that the server does not have it, so that the call did not run. */
  abstract isMissing(reply: ReplyError): boolean;

  /** What loads it, before the call; `undefined` if the call itself brings it along. */
  abstract readonly loader: Command | undefined;

  /** The call as it follows {@linkcode loader}. */
  abstract withCode(command: Command): Command;

  /** Whether an error reply says that the code itself is wrong, so that no other call has to try. */
  abstract isWrong(reply: ReplyError): boolean;

  /** What the same error reply means where the code was loaded just before. */
  abstract stillMissing(reply: ReplyError, command: Command): CommandError;

  /** What to say of a server that does not have the command. */
  abstract readonly requirement: string;

  /** Names it in the words of a call, which nothing else holds. */
  abstract name(words: Command): Command;

  /**
   * Runs it.
   *
   * @param sender A client, one of its servers or a lease.
   * @param command The call, as {@linkcode name} expects it.
   * @param options See {@linkcode SendOptions}.
   */
  run(
    sender: CommandSender,
    command: Command,
    options: SendOptions = NO_OPTIONS,
  ): Promise<Reply> {
    const caller = callerOf(sender);
    return caller === undefined
      ? this.#runBySend(sender, this.name(command), options)
      : caller.sendBy(
        (engine, command, resolve, reject) =>
          new CodeCall(this, engine, command, options, resolve, reject),
        this.name(command),
      );
  }

  /** On a lease each command is sent by itself: it has no other caller and no retries. */
  async #runBySend(
    sender: CommandSender,
    command: Command,
    options: SendOptions,
  ): Promise<Reply> {
    try {
      return await sender.send(command, options) as Reply;
    } catch (error) {
      if (!(error instanceof ReplyError && this.isMissing(error))) throw error;
    }
    if (this.loader !== undefined) await sender.send(this.loader, options);
    return await sender.send(this.withCode(command), options) as Reply;
  }
}

/** The code of a script, which EVAL brings along: https://redis.io/docs/latest/commands/evalsha/ */
export class ScriptCode extends StoredCode {
  readonly loader = undefined;
  readonly requirement = "a read-only script needs Redis 7 or later";
  readonly #source: string;
  readonly #digest: string;

  private constructor(source: string, digest: string) {
    super();
    this.#source = source;
    this.#digest = digest;
  }

  /** Makes it, with its digest. */
  static async of(source: string): Promise<ScriptCode> {
    const bytes = new TextEncoder().encode(source);
    const digest = await crypto.subtle.digest("SHA-1", bytes);
    const hex = Array.from(
      new Uint8Array(digest),
      (byte) => byte.toString(16).padStart(2, "0"),
    ).join("");
    return new ScriptCode(source, hex);
  }

  isMissing({ message }: ReplyError): boolean {
    return message.startsWith("NOSCRIPT No matching script");
  }

  isWrong({ message }: ReplyError): boolean {
    return message.startsWith("ERR Error compiling script");
  }

  /** The script has run: it has made up the words. */
  stillMissing({ message }: ReplyError, [name]: Command): CommandError {
    return new CommandError(message, name, "unknown");
  }

  name(words: Command): Command {
    (words as unknown as CommandArgument[])[1] = this.#digest;
    return words;
  }

  withCode([name, , ...words]: Command): Command {
    return [name === "EVALSHA" ? "EVAL" : "EVAL_RO", this.#source, ...words];
  }
}

/** The code of a library, which FUNCTION LOAD loads: https://redis.io/docs/latest/commands/function-load/ */
export class LibraryCode extends StoredCode {
  readonly loader: Command;
  readonly requirement = "functions need Redis 7 or later";

  constructor(source: string) {
    super();
    this.loader = ["FUNCTION", "LOAD", "REPLACE", source];
  }

  /** Loads it into a server, or into each primary of a client. */
  async load(
    sender: CommandSender,
    options: SendOptions = NO_OPTIONS,
  ): Promise<void> {
    // A cluster and Sentinels are asked for their servers by the first command.
    if (sender.nodes !== undefined) await sender.send(["PING"], options);
    const servers = sender.nodes?.() ?? [sender];
    await Promise.all(
      servers.map((server) => server.send(this.loader, options)),
    );
  }

  isMissing({ message }: ReplyError): boolean {
    return message.startsWith("ERR Function not found");
  }

  isWrong(_reply: ReplyError): boolean {
    return false; // what FUNCTION LOAD was refused with is kept by the call
  }

  stillMissing({ message }: ReplyError, [name]: Command): CommandError {
    return new CommandError(
      `${message}; the library has no function of this name`,
      name,
      "unsent",
    );
  }

  name(words: Command): Command {
    return words;
  }

  withCode(command: Command): Command {
    return command;
  }
}

/** What a call has found out since a server did not have the code. */
class Load {
  /** The call by name, which every attempt begins with. */
  readonly named: Command;
  /** Whether what is in flight brings the code along. */
  isInFlight = false;
  /** Where other calls wait for that. */
  awaitedAt: Server | undefined;
  /** Whether another call has loaded the code: that is not waited for again. */
  hasWaited = false;
  /** What the loader was refused with. */
  refusal: ReplyError | undefined;

  constructor(named: Command) {
    this.named = named;
  }
}

const UNKNOWN_COMMAND = /^ERR unknown command [^,]*/i;

/**
 * A call of code that servers hold.
 *
 * - It is one call whether the code has to be loaded or not: with one deadline,
 *   one outcome, and one fate.
 * - It runs at most once, unless a second run is harmless (or `replay` says so).
 */
class CodeCall extends SingleCall {
  readonly #code: StoredCode;
  #right: PushRight | undefined;
  #load: Load | undefined;

  constructor(
    code: StoredCode,
    engine: CallEngine,
    command: Command,
    options: SendOptions,
    resolve: (reply: Reply | Promise<never>) => void,
    reject: (reason: unknown) => void,
  ) {
    super(engine, command, options, resolve, reject);
    this.#code = code;
  }

  override sendOn(right: PushRight): void {
    this.#right = right;
    if (this.#load !== undefined) {
      this.#load.isInFlight = false;
      this.command = this.#load.named;
    }
    super.sendOn(right);
  }

  override resolve(reply: Reply): void {
    const isError = reply instanceof ReplyError;
    const load = this.#load;
    if (!isError && load === undefined) return super.resolve(reply);
    const isMissing = isError && this.#code.isMissing(reply);
    if (load?.isInFlight) {
      load.isInFlight = false;
      const wrong = isMissing
        ? load.refusal
        : isError && this.#code.isWrong(reply)
        ? reply
        : undefined;
      this.#endLoad((waiting) => waiting.#goOn(wrong));
      if (isMissing && !this.isDone) {
        return this.#fail(
          wrong === undefined
            ? this.#code.stillMissing(reply, this.command)
            : this.#notRun(wrong),
        );
      }
    } else if (isMissing && !this.isDone) return this.#loadOrWait();
    super.resolve(
      isError && UNKNOWN_COMMAND.test(reply.message)
        ? this.#unknown(reply)
        : reply,
    );
  }

  override lose(loss: Loss): void {
    // Those that wait have lost nothing: the first of them loads it.
    this.#endLoad((waiting) => waiting.#again());
    super.lose(loss);
  }

  /** The server does not have the code: sends it, unless another call does so now. */
  #loadOrWait(): void {
    const load = this.#load ??= new Load(this.command);
    const server = this.server!;
    const { loads } = this.#code;
    const waiting = loads.get(server);
    if (waiting !== undefined && !load.hasWaited) {
      waiting.add(this);
      return this.enter("deciding", () => waiting.delete(this));
    }
    const right = this.#right!;
    if (isOver(right)) return this.#again();
    if (waiting === undefined) {
      loads.set(server, new Set());
      load.awaitedAt = server;
    }
    load.refusal = undefined;
    load.isInFlight = true;
    this.command = this.#code.withCode(load.named);
    try {
      const { loader } = this.#code;
      if (loader !== undefined) right.push(this.#loaderSlot(loader, load));
    } catch (error) {
      this.#endLoad((waiting) => waiting.#again());
      this.enter("deciding");
      return this.reject(error as Error);
    }
    super.sendOn(right);
    // Nothing is in flight if the source could not be encoded.
    if (this.isDone) this.#endLoad((waiting) => waiting.#again());
  }

  #loaderSlot(command: Command, load: Load): Slot {
    return {
      command,
      binary: false,
      extraReplyTimeoutMs: 0,
      resolve: (reply) => {
        if (!(reply instanceof ReplyError)) return;
        load.refusal = reply;
        if (showsReplica(command, reply)) {
          this.server!.leaveReplica(this.connection!);
        }
      },
      lose: () => {}, // the call behind it is lost as well
    };
  }

  /** It loads the code no more: others that wait for that go on. */
  #endLoad(goOn: (waiting: CodeCall) => void): void {
    const server = this.#load?.awaitedAt;
    if (server === undefined) return;
    this.#load!.awaitedAt = undefined;
    const { loads } = this.#code;
    const waiting = loads.get(server)!;
    loads.delete(server);
    waiting.forEach(goOn);
  }

  /** The call that it has waited for was answered. */
  #goOn(wrong: ReplyError | undefined): void {
    if (wrong !== undefined) return this.#fail(this.#notRun(wrong));
    this.#load!.hasWaited = true;
    this.#again();
  }

  /** Calls it by name again, on the same connection if that is still to be had. */
  #again(): void {
    if (this.isDone) return;
    const right = this.#right!;
    if (isOver(right)) {
      this.enter("deciding");
      this.engine.attempt(this);
    } else this.sendOn(right);
  }

  #fail(error: CommandError): void {
    if (this.isDone) return;
    this.enter("deciding");
    this.engine.failed(this, replyFailure(error));
  }

  /** The code cannot be loaded. */
  #notRun({ message }: ReplyError): CommandError {
    return new CommandError(message, this.command[0], "unsent");
  }

  #unknown({ message }: ReplyError): ReplyError {
    const [what] = UNKNOWN_COMMAND.exec(message)!;
    return new ReplyError(`${what}; ${this.#code.requirement}`);
  }
}

const isOver = ({ isRevoked, connection }: PushRight): boolean =>
  isRevoked || connection.report !== undefined;
