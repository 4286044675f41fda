// How a connection ended: what is known of it as data, as a sentence and as an error.
import type { Fate } from "./fate.ts";
import { count, preciseDuration } from "./quantities.ts";

/** Which side ended it. `"network"`: neither that is known, such as a reset or silence on the way. */
export type ClosedBy = "server" | "network" | "client";

/** How the end showed itself. */
export type ClosedHow =
  | "fin"
  | "rst"
  | "silence"
  | "protocol-error"
  | "tls-alert"
  | "requested";

/** What the connection was doing. */
export type ClosedDuring =
  | "handshake"
  | "idle"
  | "awaiting-reply"
  | "inside-reply"
  | "writing";

/** What is known of a connection's end. Made once, shared by every error it causes. */
export interface CloseReport {
  /** Which side ended it. */
  readonly by: ClosedBy;
  /** How it ended. */
  readonly how: ClosedHow;
  /** When in its life. */
  readonly during: ClosedDuring;
  /** Further evidence: the text of an error reply, of a protocol error, of the system. */
  readonly cause: string | undefined;
  /** `host:port`. */
  readonly endpoint: string;
  /** Sequence number of the connection within its pool, starting at 1. */
  readonly connection: number;
  /** The server's id for it (CLIENT ID), if the server told. */
  readonly clientId: number | undefined;
  /** When it ended, Unix time in milliseconds. */
  readonly closedAt: number;
  /** Since it was opened, in milliseconds. */
  readonly ageMs: number;
  /** Since the last byte either way, in milliseconds. */
  readonly idleMs: number;
  /** Since the last byte came, in milliseconds. */
  readonly silentMs: number;
  /** How long a reply had been owed without a byte coming, in milliseconds; 0 while none was. */
  readonly owedMs: number;
  /** Commands answered after the handshake. */
  readonly commandsServed: number;
  /** Bytes received. */
  readonly bytesIn: number;
  /** Bytes handed to the socket. */
  readonly bytesOut: number;
  /** Commands that had no reply yet. */
  readonly inFlight: number;
  /** The first of them: its name and how many arguments it had, never their values. */
  readonly firstInFlight:
    | { readonly name: string; readonly args: number }
    | undefined;
  /** Bytes that had come of a reply that was cut. */
  readonly replyBytes: number;
  /** Its pool at that moment, itself included. */
  readonly pool?: PoolState | undefined;
}

/** What a pool held when one of its connections ended. */
export interface PoolState {
  /** Connections open. */
  readonly open: number;
  /** Of these, leased. */
  readonly leased: number;
  /** Connections being dialed. */
  readonly dialing: number;
  /** Callers waiting for a connection. */
  readonly waiting: number;
}

const DURING: Record<ClosedDuring, string> = {
  "handshake": "during the handshake",
  "idle": "while idle",
  "awaiting-reply": "awaiting a reply",
  "inside-reply": "inside a reply",
  "writing": "while writing",
};

const HOW: Record<ClosedHow, string> = {
  "fin": "FIN",
  "rst": "RST",
  "silence": "silence",
  "protocol-error": "protocol error",
  "tls-alert": "TLS alert",
  "requested": "on request",
};

const FATE_IN_WORDS: Record<Fate, string> = {
  unsent: "the command did not run",
  executed: "the command was executed",
  unknown: "the command may have run",
};

/**
 * The report as one sentence.
 *
 * @param report The report.
 * @returns `Connection closed by server: connection 3 to redis.example:6380 ended (FIN) while idle, …`
 */
export function describeClose(report: CloseReport): string {
  const evidence = [
    `connection ${report.connection} to ${report.endpoint} ended (${
      HOW[report.how]
    }) ${DURING[report.during]}${
      report.replyBytes > 0 ? ` after ${count(report.replyBytes, "byte")}` : ""
    }`,
    `${preciseDuration(report.ageMs)} old`,
    `${preciseDuration(report.idleMs)} since the last byte`,
    `${count(report.commandsServed, "command")} served`,
    `${report.inFlight} in flight${firstOf(report)}`,
  ];
  if (report.clientId !== undefined) {
    evidence.push(`client id ${report.clientId}`);
  }
  const { pool } = report;
  if (pool !== undefined) {
    evidence.push(
      `pool: ${pool.open} open, ${pool.leased} leased, ${pool.waiting} waiting`,
    );
  }
  const cause = report.cause === undefined ? "" : `: ${report.cause}`;
  return `${opening(report)}: ${evidence.join(", ")}${cause}`;
}

function opening({ by, how, owedMs }: CloseReport): string {
  if (how === "silence") {
    return owedMs === 0 // the system gave up an idle connection
      ? "Connection lost to a server or network that does not answer"
      : `Connection closed by client after ${
        preciseDuration(owedMs)
      } without a reply`;
  }
  if (how === "protocol-error") {
    return "Connection closed by client because of a bad reply";
  }
  if (how === "rst") return "Connection reset by server or network";
  return `Connection closed by ${by}`;
}

const firstOf = ({ firstInFlight: first }: CloseReport): string =>
  first === undefined
    ? ""
    : ` (first: ${first.name} with ${count(first.args, "argument")})`;

/**
 * A connection ended before a command's reply had come whole. `report` says
 * how, `fate` what that means for the command.
 *
 * @example A peer that is gone before it has answered
 * ```ts
 * import { ConnectionClosedError, Redis } from "@unzombie/redis";
 * import { assertEquals, assertInstanceOf } from "@std/assert";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await using lease = await redis.lease();
 * const id = Number(await lease.send(["CLIENT", "ID"]));
 * const lost = lease.send(["BLPOP", "an empty list", 5]).catch((error) => error);
 * await redis.send(["CLIENT", "KILL", "ID", id]);
 * const error = await lost;
 * assertInstanceOf(error, ConnectionClosedError);
 * assertEquals(error.report.by, "server");
 * assertEquals(error.fate, "unknown"); // it may have run
 * ```
 */
export class ConnectionClosedError extends Error {
  /** Always `"ConnectionClosedError"`. */
  override readonly name = "ConnectionClosedError";
  /** How the connection ended. */
  readonly report: CloseReport;
  /** What became of the command. */
  readonly fate: Fate;

  /**
   * Makes the error.
   *
   * @param report How the connection ended.
   * @param fate What became of the command.
   * @param note What else the caller should know, such as why it was not replayed.
   */
  constructor(report: CloseReport, fate: Fate, note?: string) {
    super(
      `${describeClose(report)}; ${FATE_IN_WORDS[fate]}${
        note === undefined ? "" : `, ${note}`
      }`,
    );
    this.report = report;
    this.fate = fate;
  }
}

/** Whether it ended because a reply was larger than this client accepts. */
export const isOverLimit = ({ how, cause }: CloseReport): boolean =>
  how === "protocol-error" && cause?.startsWith("Reply too large") === true;
