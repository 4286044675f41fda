// Calls that need a connection of their own: for a lease, for a command that blocks, for one that ends what holds up others.
import { checkCommand } from "../resp/command.ts";
import { ReplyError } from "../resp/errors.ts";
import type { Command, Reply } from "../resp/types.ts";
import { ask } from "../pool/connection/in_flight.ts";
import type { PushRight } from "../pool/connection/push_right.ts";
import { blockOf, sendInSlices, withTimeout } from "./blocking.ts";
import { Call, type CallEngine, pushAsking } from "./call.ts";
import type { Start } from "./call_start.ts";
import { errorOf, showsReplica } from "./command_error.ts";
import type { Route } from "./commands/row.ts";
import { routeOf } from "./commands/routing.ts";
import { exclusiveFailure, type Failure, replyFailure } from "./failure.ts";
import type { OneRequest } from "../pool/socket/other_runtimes.ts";
import type { SendOptions } from "./send_options.ts";
import type { Origin } from "./telemetry.ts";

/** The routes of commands that get a connection of their own. */
type ExclusiveRoute = Route & { kind: "blocking" | "urgent" };

/** How much longer than the reply timeout the server may stay silent, in milliseconds. */
export const extraReplyTimeoutMs = (route: Route): number =>
  "extraReplyTimeoutMs" in route ? route.extraReplyTimeoutMs : 0;

/** Ends an attempt between two slices: the login of its connection ends soon, and the next attempt takes another one. */
const LOGIN_DUE: unique symbol = Symbol("the login ends soon");

/** A command that blocks, or that ends what holds up others. An abort closes its connection. */
export class ExclusiveCall extends Call {
  readonly command: Command;
  readonly need: "blocking" | "beside";
  readonly #route: ExclusiveRoute;
  readonly #resolve: (reply: Reply | Promise<never>) => void;
  /** When it is over, by `performance.now()`: each attempt blocks for what is left of its time. */
  #dueAt: number | undefined;

  /** @throws {TypeError} If the command cannot be encoded. */
  constructor(
    engine: CallEngine,
    command: Command,
    route: ExclusiveRoute,
    options: SendOptions,
    resolve: (reply: Reply | Promise<never>) => void,
    reject: (reason: unknown) => void,
  ) {
    super(engine, options, reject);
    checkCommand(command);
    this.command = command;
    this.need = route.kind === "blocking" ? "blocking" : "beside";
    this.#route = route;
    this.#resolve = resolve;
  }

  get name(): string {
    return this.command[0];
  }

  override get blocksForMs(): number {
    return extraReplyTimeoutMs(this.#route);
  }

  sendOn(right: PushRight): void {
    const command = this.#withTimeLeft(right);
    const { isDetour } = this;
    this.enter(
      "in-flight",
      () => right.close("the command in flight on it was aborted"),
    );
    const push = (command: Command) => {
      if (isDetour) pushAsking(right);
      return ask(
        right,
        command,
        this.options.binary,
        extraReplyTimeoutMs(routeOf(command)),
      );
    };
    const block = blockOf(command);
    let slices = 0;
    const pushSlice = (command: Command) => {
      if (slices++ > 0 && right.connection.isLoginDue) throw LOGIN_DUE;
      return push(command);
    };
    const reply = block === undefined
      ? push(command)
      // The id of `$` holds for as long as the slices are sent by one attempt.
      : sendInSlices(
        command,
        block,
        block.newest.length === 0 ? pushSlice : push,
      );
    reply.then(
      (reply) => this.#answered(right, reply),
      (error) => this.#lost(right, error),
    );
  }

  protected override resolveWith(failed: Promise<never>): void {
    this.#resolve(failed);
  }

  /** The command of this attempt: after a refusal or a redirect it does not block for the whole time again. */
  #withTimeLeft({ connection }: PushRight): Command {
    const now = performance.now();
    if (this.#dueAt === undefined) {
      this.#dueAt = now + this.blocksForMs;
      return this.command;
    }
    const leftMs = this.#dueAt - now;
    return withTimeout(this.command, leftMs, connection.identity?.version);
  }

  #answered(right: PushRight, reply: Reply): void {
    const { command } = this;
    const server = this.server!;
    const { connection } = right;
    if (showsReplica(command, reply)) server.leaveReplica(connection);
    server.release(right, true);
    if (this.isDone) return;
    if (reply instanceof ReplyError) {
      return this.#failed(
        replyFailure(errorOf(command, reply, connection.identity)),
      );
    }
    this.finish();
    this.engine.ended(true);
    this.#resolve(reply);
  }

  #lost(right: PushRight, error: unknown): void {
    if (error === LOGIN_DUE) right.close("credentials");
    this.server!.release(right, false);
    if (this.isDone) return;
    if (error === LOGIN_DUE) {
      this.enter("deciding");
      return this.engine.attempt(this);
    }
    this.#failed(exclusiveFailure(error, this.command, this.options.replay));
  }

  #failed(failure: Failure): void {
    this.enter("deciding");
    this.engine.failed(this, failure);
  }
}

/** A command to be sent on a connection of its own. */
export interface ExclusiveStart extends Start<Reply> {
  readonly command: Command;
  readonly route: ExclusiveRoute;
  readonly options: SendOptions;
  /** Called with the call, before it is started. */
  readonly onMade: ((call: Call) => void) | undefined;
}

/** @throws What the start of a call throws. */
export function startExclusive(start: ExclusiveStart): void {
  const { attempts, command, route, options, resolve, reject } = start;
  const call = new ExclusiveCall(
    attempts,
    command,
    route,
    options,
    resolve,
    reject,
  );
  start.onMade?.(call);
  attempts.start(call, start.router);
}

/** A connection that was taken out of its pool, for one holder. */
export interface HeldConnection {
  /** What limits its use to one request, if anything does. */
  readonly oneRequest: OneRequest | undefined;
  /** The right to push on it. */
  readonly right: PushRight;
  /** Where its server is. */
  readonly origin: Origin;
  /** The same as text. */
  readonly address: string;
  /** Gives it back; `clean` if its state is as the handshake left it. */
  release(clean: boolean): void;
  /** Its server is a replica: it is closed when it is given back. */
  leaveReplica(): void;
  /** A command on it was refused: what that says of the server is for later calls. */
  heed(error: Error, command: Command): void;
}

/**
 * A lease is asked for. The call has its outcome once a connection is free, and
 * counts as under way until that is given back.
 */
export class LeaseCall extends Call {
  readonly key: string | undefined;
  readonly #resolve: (held: HeldConnection | Promise<never>) => void;

  /** @param key In a cluster, a key of the server that it is for. */
  constructor(
    engine: CallEngine,
    options: SendOptions,
    resolve: (held: HeldConnection | Promise<never>) => void,
    reject: (reason: unknown) => void,
    key?: string,
  ) {
    super(engine, options, reject);
    this.#resolve = resolve;
    this.key = key;
  }

  get name(): string {
    return "lease";
  }

  override get purpose(): string {
    return "lease a connection";
  }

  get command(): undefined {
    return undefined;
  }

  get need(): "lease" {
    return "lease";
  }

  sendOn(right: PushRight): void {
    const server = this.server!;
    this.finish();
    this.#resolve({
      oneRequest: this.engine.oneRequest,
      right,
      origin: server.endpoint,
      address: `${server.endpoint}`,
      release: (clean) => {
        server.release(right, clean);
        this.engine.ended(false);
      },
      leaveReplica: () => server.leaveReplica(right.connection),
      heed: (error, command) => {
        const { key, routing } = this;
        try {
          this.router!.heed({ command, key, routing, server }, error);
        } catch {
          // By the user's map of addresses. What the caller gets is the server's answer.
        }
      },
    });
  }

  protected override resolveWith(failed: Promise<never>): void {
    this.#resolve(failed);
  }
}
