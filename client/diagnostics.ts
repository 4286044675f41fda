/**
 * Publishes what clients do on channels of `node:diagnostics_channel`, once this
 * module is imported. Without the import nothing is loaded and nothing is
 * published. The import costs about 4 ms and 5 MB at start; a channel without
 * subscribers costs one check for each event.
 *
 * | channel | message, beside `attributes` |
 * | --- | --- |
 * | `@unzombie/redis:connection:open` | `connection`, `clientId`, `tookMs` |
 * | `@unzombie/redis:connection:fail` | `error` |
 * | `@unzombie/redis:connection:evict` | `connection`, `reason` |
 * | `@unzombie/redis:connection:close` | `report`: the close report |
 * | `@unzombie/redis:checkout:wait` | `waitedMs`, `exclusive`, `connection`, or `error` |
 * | `@unzombie/redis:retry`, `@unzombie/redis:replay` | what `onRetry` receives |
 * | `@unzombie/redis:cluster:redirect` | `code`, `hashSlot`, `from`, `to` |
 * | `@unzombie/redis:cluster:topology` | `servers`, `covered`, `askedOf`, `tookMs`, `why` |
 * | `@unzombie/redis:sentinel:primary` | `name`, `from`, `to`, `namedBy` |
 * | `@unzombie/redis:outbox` | `change`, `count`, `pending`, `capacity`, `error` |
 * | `tracing:@unzombie/redis:command:start`, `:end`, `:asyncStart`, `:asyncEnd`, `:error` | a {@linkcode CommandTrace} |
 *
 * `attributes` have the names of OpenTelemetry's conventions for
 * {@link https://opentelemetry.io/docs/specs/semconv/db/redis/ | Redis} and
 * {@link https://opentelemetry.io/docs/specs/semconv/db/database-metrics/ | connection pools}.
 * No message contains a value of a command, unless a subscriber calls
 * {@linkcode CommandTrace.statement}. Errors are those that the caller gets. A
 * server repeats the first arguments of a command that it does not know in the
 * text of its {@linkcode ReplyError}, so log `error.type` rather than that text.
 *
 * A subscriber that throws makes no command fail, but `node:diagnostics_channel`
 * throws its error again where nothing catches it. That ends the process, unless
 * there is a listener for `uncaughtException` of `node:process`. Where that
 * module was never loaded, Deno 2.9 ignores the error.
 *
 * @example Count commands by name
 * ```ts
 * import { subscribe } from "node:diagnostics_channel";
 * import { Redis } from "@unzombie/redis";
 * import { CommandTrace } from "@unzombie/redis/diagnostics";
 * import { assertEquals } from "@std/assert";
 *
 * const counts: Record<string, number> = {};
 * subscribe("tracing:@unzombie/redis:command:start", (message) => {
 *   if (!(message instanceof CommandTrace)) return;
 *   const name = message.attributes["db.operation.name"]!;
 *   counts[name] = (counts[name] ?? 0) + 1;
 * });
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await redis.send(["ECHO", "a secret"]);
 * assertEquals(counts, { ECHO: 1 });
 * ```
 *
 * @see {@link https://nodejs.org/api/diagnostics_channel.html}
 * @module
 */
import { channel, tracingChannel } from "node:diagnostics_channel";
import { ReplyError } from "../resp/errors.ts";
import type { Command } from "../resp/types.ts";
import {
  type Origin,
  setSink,
  type TelemetryEvents,
  type TelemetrySink,
} from "./telemetry.ts";

export type { TelemetryEvents } from "./telemetry.ts";

/** The beginning of every channel's name. */
const PREFIX = "@unzombie/redis:";

/** Attributes by OpenTelemetry's names. Those that do not apply are missing. */
export interface Attributes {
  /** Always `"redis"`. */
  readonly "db.system.name": "redis";
  /** The database's number. */
  readonly "db.namespace": string;
  /** The server's name. */
  readonly "server.address": string;
  /** The server's port. */
  readonly "server.port": number;
  /** Messages of the pool only: `host:port/database`. */
  readonly "db.client.connection.pool.name"?: string;
  /** Commands only: such as `"ZADD"`, `"PIPELINE"`, `"PIPELINE ZADD"`. */
  readonly "db.operation.name"?: string;
  /** Pipelines of more than one command only: the number of commands. */
  readonly "db.operation.batch.size"?: number;
  /** Commands that failed only: the code of the error reply, or the name of another error. */
  "error.type"?: string;
  /** Commands that got an error reply only: its code, such as `"WRONGTYPE"`. */
  "db.response.status_code"?: string;
}

/** What every message contains, beside the fields of its channel. */
export interface Message {
  /** Where it happened, and how a command failed. */
  readonly attributes: Attributes;
}

/** A message of the channel `@unzombie/redis:Name`. */
export type MessageOf<Name extends keyof TelemetryEvents> =
  & Message
  & TelemetryEvents[Name];

/** One call of `send` or `pipeline`: the message of the tracing channel. */
export class CommandTrace implements Message {
  /** The command, and where it goes. How it failed and where it has gone is added at the end. */
  readonly attributes: Attributes;
  /** The error that the call rejected with. */
  error?: unknown;
  readonly #commands: readonly Command[];
  readonly #origin: () => Origin;

  /** @ignore Made for each call while the channel has subscribers. */
  constructor(
    origin: () => Origin,
    commands: readonly Command[],
    isPipeline: boolean,
  ) {
    this.#commands = commands;
    this.#origin = origin;
    this.attributes = {
      ...serverOf(origin()),
      "db.operation.name": operationOf(commands, isPipeline),
      ...(commands.length > 1
        ? { "db.operation.batch.size": commands.length }
        : {}),
    };
  }

  /** @ignore Called when the call has ended: a cluster may have redirected it. */
  renewServer(): void {
    Object.assign(this.attributes, serverOf(this.#origin()));
  }

  /**
   * The commands with all their values, for `db.query.text`. Values may be
   * secrets, so no message contains them.
   *
   * @returns Arguments in quotes, commands separated by `;`.
   */
  statement(): string {
    return this.#commands.map(([name, ...args]) =>
      [name, ...args.map(quoted)].join(" ")
    ).join("; ");
  }
}

const quoted = (argument: Command[number]): string =>
  argument instanceof Uint8Array
    ? JSON.stringify(new TextDecoder().decode(argument))
    : typeof argument === "string"
    ? JSON.stringify(argument)
    : String(argument);

function operationOf(
  commands: readonly Command[],
  isPipeline: boolean,
): string {
  const names = new Set(commands.map(([name]) => name.toUpperCase()));
  const [first = ""] = names;
  if (!isPipeline) return first;
  return names.size === 1 ? `PIPELINE ${first}` : "PIPELINE";
}

const serverOf = ({ hostname, port, database }: Origin): Attributes => ({
  "db.system.name": "redis",
  "db.namespace": `${database}`,
  "server.address": hostname,
  "server.port": port,
});

const poolOf = (origin: Origin): Attributes => ({
  ...serverOf(origin),
  "db.client.connection.pool.name":
    `${origin.hostname}:${origin.port}/${origin.database}`,
});

const commands = tracingChannel(`${PREFIX}command`);

/** Like `tracePromise` of the tracing channel, but without the reply in the message. */
const trace = <T>(
  message: CommandTrace,
  run: () => Promise<T>,
): Promise<T> =>
  // Around the whole call, so that stores bound to `start` are set for each message.
  commands.start.runStores(message, async () => {
    const running = run();
    commands.end.publish(message);
    try {
      const reply = await running;
      message.renewServer();
      return reply;
    } catch (error) {
      message.renewServer();
      message.error = error;
      if (error instanceof ReplyError) {
        message.attributes["db.response.status_code"] = error.code;
      }
      message.attributes["error.type"] = error instanceof ReplyError
        ? error.code
        : error instanceof Error
        ? error.name
        : "_OTHER";
      commands.error.publish(message);
      throw error;
    } finally {
      commands.asyncStart.publish(message);
      commands.asyncEnd.publish(message);
    }
  });

/** Whether they can be named. What is no command is refused untraced, as without subscribers. */
const areCommands = (sent: readonly Command[]): boolean =>
  Array.isArray(sent) &&
  sent.every((command) =>
    Array.isArray(command) && typeof command[0] === "string"
  );

const channels = {
  "connection:open": channel(`${PREFIX}connection:open`),
  "connection:fail": channel(`${PREFIX}connection:fail`),
  "connection:evict": channel(`${PREFIX}connection:evict`),
  "connection:close": channel(`${PREFIX}connection:close`),
  "checkout:wait": channel(`${PREFIX}checkout:wait`),
  "retry": channel(`${PREFIX}retry`),
  "replay": channel(`${PREFIX}replay`),
  "cluster:redirect": channel(`${PREFIX}cluster:redirect`),
  "cluster:topology": channel(`${PREFIX}cluster:topology`),
  "sentinel:primary": channel(`${PREFIX}sentinel:primary`),
  "outbox": channel(`${PREFIX}outbox`),
} satisfies Record<keyof TelemetryEvents, unknown>;

const publisher: TelemetrySink = {
  publish: (name, origin, event) => {
    const channel = channels[name];
    if (!channel.hasSubscribers) return;
    channel.publish({ attributes: poolOf(origin), ...event });
  },
  trace: (origin, sent, isPipeline, run) =>
    commands.hasSubscribers && areCommands(sent)
      ? trace(new CommandTrace(origin, sent, isPipeline), run)
      : run(),
};

setSink(publisher);
