// The error reply that a caller's command was answered with.
import { ReplyError } from "../resp/errors.ts";
import type { Command, Reply } from "../resp/types.ts";
import type { Fate } from "../pool/connection/fate.ts";
import { type Identity, modeHint } from "../pool/connection/identity.ts";
import { fateOfReply, saysReadonly } from "../pool/connection/refusal.ts";
import { rowOf } from "./commands/table.ts";

/**
 * The server answered a command with an error. It says which command, and
 * whether it may have run.
 *
 * Where the call is awaited by the time that the reply comes, `stack` leads to
 * the line that awaits it.
 *
 * @example Which command was refused, and whether it ran
 * ```ts
 * import { CommandError, Redis } from "@unzombie/redis";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * const error = await assertRejects(() => redis.send(["GET"]), CommandError);
 * assertEquals(error.command, "GET");
 * assertEquals(error.fate, "unsent");
 * assertEquals(error.code, "ERR");
 * ```
 */
export class CommandError extends ReplyError {
  /** Always `"CommandError"`. */
  override readonly name: string = "CommandError";
  /** The command's name as it was sent; never an argument. */
  readonly command: string;
  /** `"unsent"` if the server did not run the command, `"executed"` if it did, else `"unknown"`. */
  readonly fate: Fate;

  /**
   * Makes the error.
   *
   * @param message The server's text, without the leading `-`.
   * @param command The command's name.
   * @param fate What became of the command.
   */
  constructor(message: string, command: string, fate: Fate) {
    super(message);
    this.command = command;
    this.fate = fate;
  }
}

/**
 * A refusal of a script itself. What a script lets through from its own
 * commands names other commands, and never one of these.
 */
const SCRIPT_NOT_RUN =
  /^(?:NOSCRIPT No matching script|NOAUTH Authentication required|ERR (?:Function not found|Error compiling script))/;

/** The error of a script's own command, as servers before Redis 7 put it. */
const INSIDE_OLD_SCRIPT = /^ERR Error running script .*: -(?=[A-Z]+ )/s;

function fateOfScript([name]: Command, error: ReplyError): Fate {
  const { message } = error;
  if (SCRIPT_NOT_RUN.test(message)) return "unsent";
  const inner = message.replace(INSIDE_OLD_SCRIPT, "");
  const fate = fateOfReply(new ReplyError(inner));
  // Servers before Redis 7 put the name of an unknown command in backticks.
  const isOfItself = fate === "unsent" &&
    message.toUpperCase().replaceAll("`", "'").includes(
      `'${name.toUpperCase()}'`,
    );
  // It may have chosen its words, or been refused after it had written something.
  return fate === "executed" || isOfItself ? fate : "unknown";
}

/** What an error reply says about the command that it answers. */
const fateOfAnswer = (command: Command, error: ReplyError): Fate =>
  rowOf(command).runs === "script"
    ? fateOfScript(command, error)
    : fateOfReply(error);

/**
 * Whether the reply to a command says that the server is a replica: an error,
 * or one within what a script or a transaction answers.
 */
export const showsReplica = (command: Command, reply: Reply): boolean =>
  reply instanceof ReplyError
    ? saysReadonly(reply)
    : Array.isArray(reply) && rowOf(command).runs !== undefined &&
      saysReadonly(reply);

function explain(
  { code, message }: ReplyError,
  command: Command,
  identity: Identity | undefined,
): string {
  if (identity?.mode === "sentinel" && UNKNOWN_COMMAND.test(message)) {
    return `${message.replace(/, with args .*/s, "")} (${modeHint(identity)})`;
  }
  // A server repeats the arguments of a command that it does not know.
  if (rowOf(command).hasSecrets) return message.replace(/, with args .*/s, "");
  if (code === "READONLY" && isPlainReplica(identity)) {
    return `${message}; this server is a replica: use its primary, ?cluster=true or ?sentinel=name`;
  }
  return message + clusterAdvice(code, identity);
}

/** Whether the handshake has led to a replica that no cluster's topology has named. */
const isPlainReplica = (identity: Identity | undefined): boolean =>
  !identity?.isOfCluster &&
  (identity?.role === "replica" || identity?.role === "slave");

/** What to do about a refusal by the node of a cluster; `""` for any other. */
function clusterAdvice(code: string, identity: Identity | undefined): string {
  const hint = identity?.isOfCluster
    ? ""
    : "; this server is a node of a cluster: add ?cluster=true to the URL";
  switch (code) {
    case "MOVED":
    case "ASK":
    case "CLUSTERDOWN":
      return hint;
    case "CROSSSLOT": // also of proxies that are no node
      return identity?.isOfCluster
        ? "; the keys of one command need the same {tag}, or send a pipeline of single commands"
        : identity?.mode === "cluster"
        ? `; the keys of one command need the same {tag}${hint}`
        : "";
    default:
      return "";
  }
}

const UNKNOWN_COMMAND = /^ERR unknown command/i;

/** An error reply as its caller gets it, from the server of that identity. */
export const errorOf = (
  command: Command,
  reply: ReplyError,
  identity?: Identity,
): CommandError =>
  new CommandError(
    explain(reply, command, identity),
    command[0],
    fateOfAnswer(command, reply),
  );

/** The same error, with what to do about it. */
export const withAdvice = (
  { message, command, fate }: CommandError,
  advice: string,
): CommandError => new CommandError(`${message}; ${advice}`, command, fate);

/**
 * The replies of a transaction as its caller gets them. EXEC has run all of its
 * commands, so that none is unsent: one that says so is a script, or the ACL
 * has changed.
 *
 * @param replies What EXEC has answered.
 * @param nameOf The name for an error of the i-th command.
 */
export const repliesOfExec = (
  replies: readonly Reply[],
  nameOf: (i: number) => string,
): Reply[] =>
  replies.map((reply, i) =>
    reply instanceof ReplyError
      ? new CommandError(
        reply.message,
        nameOf(i),
        fateOfReply(reply) === "executed" ? "executed" : "unknown",
      )
      : reply
  );

/** Whether an error is the server's answer after it has run the command. After a refusal an attempt before may have run. */
export const isAnswer = (error: unknown): boolean =>
  error instanceof CommandError && error.fate !== "unsent";
