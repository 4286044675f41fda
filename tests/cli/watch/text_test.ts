// The events of a watch as text.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import type {
  CauseRow,
  DeathEvent,
  NodesEvent,
  SummaryEvent,
} from "../../../cli/watch/json_lines.ts";
import { changes, deaths, summary } from "../../../cli/watch/text.ts";

Deno.test("Deaths of one moment share a line if they share a cause and a confidence", () => {
  const death = {
    at: "2025-01-31T00:00:00Z",
    ...{ how: "fin", during: "idle", role: "idle", idleMs: 5, frozenMs: 0 },
    ...{ close: "closed", outcome: "it", cause: "client-kill" },
    confidence: "likely",
  } as unknown as DeathEvent;
  const count = (...more: Partial<DeathEvent>[]) =>
    deaths([death, ...more.map((one) => ({ ...death, ...one }))]).length;
  assertEquals(count({}), 1);
  assertEquals(count({ how: "rst" }), 1);
  assertEquals(count({ cause: "restart" }), 2);
  assertEquals(count({ confidence: "possible" }), 2);
  assertEquals(count({ cause: null }, { cause: null }), 2);
  assertEquals(count({ cause: null }, { cause: null, how: "rst" }), 3);
});

const SUMMARY: SummaryEvent = {
  type: "summary",
  at: "2025-01-31T00:00:00Z",
  endpoint: "h:7000",
  watchedMs: 60_000,
  connections: 10,
  open: 10,
  deaths: 0,
  causes: [],
  longestIdleMs: 5000,
  awayTimes: 0,
  awayMs: 0,
  awayReason: null,
  frozenMs: 0,
  refused: [],
};
const ROW: CauseRow = {
  cause: "failover",
  deaths: 2,
  confidence: { likely: 2, possible: 0, none: 0 },
  afterFreeze: false,
  idleMs: { min: 5, max: 5 },
  advice: "nothing",
};

Deno.test("The summary of several servers names the server of each death and of each outage", () => {
  const lines = summary([
    {
      ...SUMMARY,
      deaths: 2,
      causes: [ROW],
      ...{ connections: 0, open: 0, watchedMs: 30_000 },
      ...{ awayTimes: 1, awayMs: 4000, awayReason: "refused" },
    },
    { ...SUMMARY, endpoint: "h:7001", refused: ["CONFIG GET"] },
    {
      ...SUMMARY,
      endpoint: "h:7002",
      refused: ["CONFIG GET"],
      longestIdleMs: 7000,
    },
  ]);
  assertEquals(lines, [
    "",
    "2 connections died in 1 min",
    "  Server  Deaths  Cause     Confidence  Idle for  What to do",
    "  h:7000  2       failover  likely      5 ms      nothing",
    "Connections survived up to 7.0 s of rest.",
    "h:7000 was away 1 time, for 4.0 s in total: refused.",
    "The server refuses CONFIG GET: some causes cannot be found without it.",
  ]);
});

Deno.test("The summary of several servers counts the connections of all", () => {
  const [, first, second] = summary([
    SUMMARY,
    { ...SUMMARY, open: 9, longestIdleMs: 9000 },
  ]);
  assertEquals(first, "No connection died in 1 min: longest idle 9.0 s");
  assertEquals(second!.split(":")[0], "19 of 20 answered at the end");
});

Deno.test("A change names few of many ranges of hash slots", () => {
  const event = (what: string): NodesEvent => ({
    ...{ type: "nodes", at: "2025-01-31T00:00:00Z", of: "it", nodes: [] },
    covered: 0,
    changes: [{ from: "h:1", to: "h:2", what }],
  });
  const textOf = (what: string) => changes(event(what))[0]!.slice(21);
  const ranges = (n: number) =>
    Array.from({ length: n }, (_, i) => `${10 * i}-${10 * i + 5}`).join();
  const few = `hash slots ${ranges(7)} went to h:2`;
  assertEquals(textOf(few), `h:1: ${few}`);
  assertEquals(
    textOf(`hash slots ${ranges(300)} went to h:2`),
    `h:1: hash slots ${ranges(6)},…,2990-2995 went to h:2`,
  );
});
