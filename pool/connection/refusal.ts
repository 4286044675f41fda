// Which error replies say that the command did not run, and which of these pass by themselves.
import { ReplyError } from "../../resp/errors.ts";
import type { Reply } from "../../resp/types.ts";
import type { Fate } from "./fate.ts";

/** Codes by which a server says that it did not run the command. */
const NOT_RUN_CODES: ReadonlySet<string> = new Set([
  "LOADING", // it reads its data set after a start
  "READONLY", // it is a replica
  "MASTERDOWN", // a replica without its primary, configured not to answer from old data
  "CLUSTERDOWN", // a part of the cluster is missing
  "TRYAGAIN", // the keys of one command are on two nodes while a slot moves
  "NOREPLICAS", // fewer replicas than min-replicas-to-write
  "BUSY", // a script runs
  "UNBLOCKED", // a blocking command was ended before it had taken anything
  "OOM", // memory is over maxmemory, and the command could add to it
  "MISCONF", // the last save to disk has failed, and writes are refused since
  "NOPERM", // the user's ACL
  "NOAUTH", // no password was given
  "WRONGPASS", // the password is wrong
  "DENIED", // protected mode: only clients of the same machine, or with a password
  "NOPROTO", // HELLO asked for a protocol version that it does not speak
  "MOVED", // the key belongs to another node of the cluster
  "ASK", // the key is on its way to another node of the cluster
  "REDIRECT", // Valkey: the primary is elsewhere
  "CROSSSLOT", // the keys belong to several hash slots
  "EXECABORT", // a command of the transaction was refused, so none has run
]);

/** Texts by which a server says the same, where it has no code for it. */
const NOT_RUN_TEXTS: readonly RegExp[] = [
  /^(?:ERR )?unknown (?:sub)?command/i, // also one that was renamed
  /^(?:ERR )?unsupported command/i, // proxies, such as Envoy
  /^(?:ERR )?wrong number of arguments/i,
  /^(?:ERR )?max number of clients/i, // maxclients
  /^ERR max concurrent connections exceeded/, // the same of hosted services
  /^ERR max (?:daily )?requests? (?:limit|size) exceeded/, // quotas of hosted services
  /^ERR service is not available/, // ElastiCache: back off
  /^ERR operation not permitted/, // NOAUTH of old servers
  /^ERR invalid password/, // WRONGPASS of old servers
  /^ERR (?:Client sent AUTH|AUTH <password> called without)/, // a password for a server that has none
  /^ERR Protocol error/, // the bytes were not a command, or one over a limit
  /^ERR command not allowed/i, // inside a transaction, or by a managed service
  /^ERR \S+ command not allowed/, // DEBUG and MODULE, unless the configuration allows them
  /^ERR Can't execute '/, // while subscribed
  /^ERR (?:Replica|Slave) can't interact with the keyspace/,
  /^ERR Transaction contains write commands but instance is now a read-only/, // EXEC before Redis 6.2
  /^invalid request$/, // Envoy
  /^no upstream host$/, // Envoy: no server is healthy
];

/** Codes of {@linkcode NOT_RUN_CODES} that pass by themselves within moments. */
const PASSING_CODES: ReadonlySet<string> = new Set([
  "LOADING", // until the data set is read
  "READONLY", // until the new primary is found, on another connection
  "MASTERDOWN", // until the replica has its primary again
  "CLUSTERDOWN", // until a replica has taken over
  "TRYAGAIN", // until the slot has moved
  "NOREPLICAS", // until the replicas have come back, such as after a failover
  "BUSY", // until the script ends
  "UNBLOCKED", // the command itself may wait again
]);

/** Texts of {@linkcode NOT_RUN_TEXTS} that pass by themselves within moments. */
const PASSING_TEXTS: readonly RegExp[] = [
  /^(?:ERR )?max number of clients/i, // until another client leaves
  /^ERR max concurrent connections exceeded/, // the same of hosted services
  /^no upstream host$/, // until a server is healthy again
];

/** A proxy has lost the server behind it: the command may have run there. */
const NOT_SAID_TEXTS: readonly RegExp[] = [
  /^upstream (?:failure|protocol error)/, // Envoy
  /^(?:ERR )?Connection (?:timed out|refused|reset by peer)/i, // twemproxy
  /^(?:ERR )?(?:Broken pipe|server connection close)/i, // twemproxy, predixy
];

const isOneOf = (texts: readonly RegExp[], message: string): boolean =>
  texts.some((text) => text.test(message));

/**
 * Whether the server says that it did not run the command, whatever command
 * that was; a script may say so of itself and be wrong.
 */
export const isNotRun = ({ code, message }: ReplyError): boolean =>
  NOT_RUN_CODES.has(code) || isOneOf(NOT_RUN_TEXTS, message);

/**
 * Whether the server did not run the command for a reason that passes by
 * itself, so that another attempt is worthwhile.
 */
export const isPassing = ({ code, message }: ReplyError): boolean =>
  PASSING_CODES.has(code) || isOneOf(PASSING_TEXTS, message);

/** The same of a command of the handshake, when a service may still be on its way up. */
export const isPassingInHandshake = (reply: ReplyError): boolean =>
  isPassing(reply) || /^ERR service is not available/.test(reply.message);

/** Whether a code is one of Redis itself, not a word that a server repeats. */
export const isKnownCode = (code: string): boolean =>
  code === "ERR" || NOT_RUN_CODES.has(code);

/** What an error reply says about the command, whatever command that was. */
export function fateOfReply(reply: ReplyError): Fate {
  if (isNotRun(reply)) return "unsent";
  return isOneOf(NOT_SAID_TEXTS, reply.message) ? "unknown" : "executed";
}

/** READONLY within the text of a script's or a transaction's error, in the wordings of all versions. */
const READONLY_INSIDE =
  /[\s:-]READONLY (?:You can't write|Can not run)|instance is now a read-only/;

/**
 * Whether an error reply says that the server is a replica, so that its
 * connection should be left.
 *
 * @param reply An error reply, or what a transaction or a script answers: it may hold errors at any depth.
 */
export function saysReadonly(reply: Reply): boolean {
  if (Array.isArray(reply)) return reply.some(saysReadonly);
  return reply instanceof ReplyError &&
    (reply.code === "READONLY" || READONLY_INSIDE.test(reply.message));
}
