// A command is lost with its connection, as an error.
import type { CloseReport } from "./close_report.ts";
import { describeClose } from "./describe_close.ts";
import type { Fate } from "./fate.ts";

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

const FATE_IN_WORDS: Record<Fate, string> = {
  unsent: "the command did not run",
  executed: "the command was executed",
  unknown: "the command may have run",
};
