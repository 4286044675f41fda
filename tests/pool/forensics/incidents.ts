// Incidents of literal evidence, so that every rule of a diagnosis is met at its edges.
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { CloseReport } from "../../../mod.ts";
import { diagnose } from "../../../pool/forensics/diagnose.ts";
import type { Silence } from "../../../pool/forensics/incident.ts";
import type { ServerSnapshot } from "../../../pool/forensics/server_probe.ts";
import type { Cause, Verdict } from "../../../pool/forensics/verdict.ts";

/** A connection that was closed by the server while idle. */
export const REPORT: CloseReport = {
  by: "server",
  how: "fin",
  during: "idle",
  cause: undefined,
  endpoint: "redis.example:6379",
  connection: 3,
  clientId: 12,
  closedAt: 1_700_000_000_000,
  ageMs: 400_000,
  idleMs: 100_000,
  silentMs: 100_000,
  owedMs: 0,
  commandsServed: 5,
  bytesIn: 100,
  bytesOut: 100,
  inFlight: 0,
  firstInFlight: undefined,
  replyBytes: 0,
};
/** When it was closed. */
export const CLOSED_AT = REPORT.closedAt;
/** Replication ids: of the run before, and of another. */
export const OLD = "a".repeat(40), NEW = "b".repeat(40);
const INFO: ServerSnapshot["info"] = {
  redis_version: "7.0.15",
  run_id: "r1",
  process_id: "1",
  tcp_port: "6379",
  uptime_in_seconds: "1000",
  role: "master",
  master_replid: OLD,
  rejected_connections: "0",
};
/** A snapshot of a server, with changes. */
export const snapshot = (
  takenAt: number,
  info: ServerSnapshot["info"] = {},
  more: Partial<ServerSnapshot> = {},
): ServerSnapshot => ({
  ...{ takenAt, own: {}, config: {} },
  info: { ...INFO, ...info },
  ...more,
});

/** An incident, and the verdict that is expected. */
export type Row = [
  what: string,
  causes: Cause | undefined | Cause[],
  confidence: Verdict["confidence"],
  circumstances: {
    report?: Partial<CloseReport>;
    before?: Partial<ServerSnapshot>;
    was?: ServerSnapshot["info"];
    after?: Partial<ServerSnapshot>;
    is?: ServerSnapshot["info"];
    besides?: Parameters<typeof diagnose>[3];
  },
  text?: RegExp,
];

/** A connection that awaited a reply. */
export const AWAITING: Partial<CloseReport> = {
  during: "awaiting-reply",
  inFlight: 1,
  firstInFlight: { name: "GET", args: 1 },
};
/** A server with an idle timeout of 300 s. */
export const TIMEOUT: Partial<ServerSnapshot> = { config: { timeout: "300" } };
/** A server that still lists the connection. */
export const LISTED: Partial<ServerSnapshot> = {
  listed: "id=12 age=400 idle=100",
};
/** A connection that was idle for so long, on a server with a timeout of 300 s. */
export const idle = (idleMs: number) => ({
  report: { idleMs },
  after: TIMEOUT,
});
/** Another run of the server answers, with this uptime. */
export const run = (
  uptime_in_seconds: string,
  more: ServerSnapshot["info"] = {},
) => ({
  is: {
    run_id: "r2",
    process_id: "2",
    uptime_in_seconds,
    master_replid: NEW,
    ...more,
  },
});

/** A connection that fell silent. */
export const SILENT: Partial<CloseReport> = {
  ...AWAITING,
  by: "network",
  how: "silence",
  silentMs: 5010,
  owedMs: 5000,
};
/** Three connections that fell silent after 10 ms of rest, and a quick dial. */
export const stall = (
  more: Partial<Silence>,
  { report, besides, ...others }: Row[3] = {},
): Row[3] => ({
  report: { ...SILENT, ...report },
  besides: {
    silence: {
      silent: 3,
      answered: 0,
      unanswered: 0,
      opened: 1,
      dialMs: 2,
      usualDialMs: 1,
      ...more,
    },
    ...besides,
  },
  ...others,
});
/** Entries of SLOWLOG: a command, how long it took, and when it ended, from the end of the connection. */
export const slow = (
  runs: readonly (readonly [what: string, tookMs: number, endedMs: number])[],
): Row[3] => ({
  after: {
    slow: {
      "SLOWLOG GET": runs.map(([what, tookMs, endedMs]) => ({
        what,
        tookMs,
        endedAt: CLOSED_AT + endedMs,
      })),
    },
  },
});

/** Adds a test for each row. */
export function testRows(rows: readonly Row[]): void {
  for (const [what, causes, confidence, { besides, ...c }, text] of rows) {
    const expected = causes === undefined ? [] : [causes].flat();
    const cause = expected.length === 0
      ? "no cause is found"
      : `the cause is ${confidence === "likely" ? "likely" : "possibly"} ${
        expected.join(" or ")
      }`;
    Deno.test(`${what[0]!.toUpperCase()}${what.slice(1)}: ${cause}`, () => {
      const verdict = diagnose(
        { ...REPORT, ...c.report },
        snapshot(CLOSED_AT - 60_000, c.was, c.before),
        snapshot(CLOSED_AT + 5000, c.is, c.after),
        besides,
      );
      assertEquals(
        [verdict.causes, verdict.confidence],
        [expected, confidence],
        verdict.text,
      );
      assertEquals(verdict.cause, expected[0]);
      if (text !== undefined) assertMatch(verdict.text, text);
      for (const line of verdict.evidence) {
        assertStringIncludes(verdict.text, line);
      }
      JSON.stringify(verdict);
    });
  }
}
