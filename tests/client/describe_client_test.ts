// A client as text: of one server, of a cluster, and of a primary that Sentinels name.

import "../support/strict.ts";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { type ClientSnapshot, describeClient } from "../../client/stats.ts";
import { sumOf } from "../../client/servers/server_set.ts";
import type { RedisStats, ServerStats } from "../../mod.ts";

const NOW = 1_700_000_000_000;
const { stats: EMPTY } = sumOf([]);

const server = (more: Partial<ServerStats>): ServerStats => ({
  ...EMPTY,
  maxConnections: 10,
  hashSlots: 16384,
  ...more,
});

const client = (
  { stats, ...more }: Partial<Omit<ClientSnapshot, "stats">> & {
    stats?: Partial<RedisStats>;
  },
): ClientSnapshot => ({
  endpoint: "h:7000",
  isTls: false,
  isClosed: false,
  isCluster: false,
  notes: [],
  primary: undefined,
  stats: {
    ...EMPTY,
    retries: 1,
    replays: 2,
    retryBudget: 99.9,
    lastVerdict: undefined,
    servers: { "h:7000": server({}) },
    redirects: { moved: 0, ask: 0 },
    topology: undefined,
    ...stats,
  },
  ...more,
});

Deno.test("A client of one server is described without hash slots", () => {
  assertEquals(
    describeClient(
      client({
        isTls: true,
        notes: ["a note"],
        stats: {
          maxConnections: 10,
          open: 3,
          idle: 1,
          leased: 2,
          lastDialError: new Error("refused"),
          evicted: { fin: 2 },
        },
      }),
      NOW,
    ),
    `Redis h:7000 (TLS), open
  connections  3 of 10 open: 1 idle, 2 leased
  commands     0 in flight, 0 waiting
  so far       0 dialed, 0 dials failed, 1 retries, 2 replays, budget for 99 retries
  note         a note
  last dial    has failed before: refused
  evicted      2 fin`,
  );
});

Deno.test("A client of a cluster has a line for each server", () => {
  assertEquals(
    describeClient(
      client({
        isCluster: true,
        isClosed: true,
        stats: {
          maxConnections: 40,
          open: 2,
          idle: 2,
          redirects: { moved: 4, ask: 1 },
          topology: { askedAt: NOW - 2100, asked: 3, covered: 16384 },
          awaySince: NOW - 3000,
          lastDialError: new Error("refused"),
          servers: {
            "h:7003": server({ hashSlots: 0, open: 1, leased: 1 }),
            "h:7000": server({ hashSlots: 5461, open: 1, idle: 1 }),
            "redis-1.example:7001": server({
              hashSlots: 5462,
              inFlight: 2,
              waiting: 3,
              awaySince: NOW - 3000,
            }),
            "h:7002": server({ hashSlots: 5461, open: 1, idle: 1 }),
          },
        },
      }),
      NOW,
    ),
    `Redis cluster of h:7000 (3 servers, 16384 hash slots covered, asked 2.1 s ago), closed
  h:7003                has left, 1 of 10 open: 1 leased, 0 in flight, 0 waiting
  h:7000                5461 hash slots, 1 of 10 open: 1 idle, 0 in flight, 0 waiting
  redis-1.example:7001  5462 hash slots, 0 of 10 open, 2 in flight, 3 waiting, away for 3.0 s
  h:7002                5461 hash slots, 1 of 10 open: 1 idle, 0 in flight, 0 waiting
  connections           2 of 40 open: 2 idle
  commands              0 in flight, 0 waiting
  so far                0 dialed, 0 dials failed, 1 retries, 2 replays, 4 MOVED, 1 ASK, budget for 99 retries
  away                  since 3.0 s ago: refused`,
  );
});

Deno.test("A client of a cluster that was not asked yet says so", () => {
  for (
    const topology of [
      undefined,
      { askedAt: undefined, asked: 2, covered: 0 },
    ]
  ) {
    const [heading, ...rows] = describeClient(
      client({
        isCluster: true,
        isTls: true,
        stats: { topology, servers: {} },
      }),
      NOW,
    ).split("\n");
    assertEquals(
      heading,
      "Redis cluster of h:7000 (TLS, 0 servers, not asked yet), open",
    );
    assertEquals(rows[0], "  connections  0 of 0 open");
  }
});

Deno.test("A client of Sentinels names the primary, and the Sentinel that named it", () => {
  const primary = { name: "mymaster", namedBy: "s1:26379" };
  const text = describeClient(
    client({
      primary,
      endpoint: "s2:26379",
      stats: { servers: { "h:6379": server({}) } },
    }),
    NOW,
  );
  assertEquals(text.split("\n").slice(0, 2), [
    "Redis primary mymaster at h:6379, named by s1:26379, open",
    "  connections  0 of 0 open",
  ]);
  // The primary before is listed for as long as it has connections.
  const leaving = { "h:6380": server({ hashSlots: 0, open: 1, leased: 1 }) };
  const afterFailover = describeClient(
    client({
      primary,
      stats: { servers: { ...leaving, "h:6379": server({}) } },
    }),
    NOW,
  );
  assertStringIncludes(afterFailover, "primary mymaster at h:6379, named");
  assertStringIncludes(
    afterFailover,
    "\n  h:6380       has left, 1 of 10 open",
  );
  assertStringIncludes(
    describeClient(
      client({
        primary: { ...primary, namedBy: undefined },
        endpoint: "s2:26379",
        stats: { servers: {} },
      }),
      NOW,
    ),
    "Redis primary mymaster, to be named by s2:26379, open\n",
  );
});
