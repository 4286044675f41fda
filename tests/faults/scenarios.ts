// Every fault that the module must survive, one after the other.
import { delay } from "@std/async/delay";
import { fateOf } from "../../mod.ts";
import { dial } from "../../pool/socket/dial.ts";
import { Endpoint } from "../../pool/socket/endpoint.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { dns } from "./dns.ts";
import { demote, promote, startReplica } from "./failover.ts";
import type { Form } from "./form.ts";
import { halfTlsPeer } from "./peers.ts";
import type { Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";

/** The waits of the default policy are 100, 200 and 400 ms at most. */
const WAITS_MS = 700;
/** What a machine takes for itself. */
const SLACK_MS = 150;

/** Nobody listens: every attempt fails at once. */
const refusedMs = (): number => WAITS_MS + SLACK_MS;
/** Each of the four attempts may take what a connection may take. */
const muteMs = ({ connectTimeoutMs }: Form): number =>
  WAITS_MS + 4 * connectTimeoutMs + SLACK_MS;
/** The reply timeout and one dial. */
const silentMs = ({ replyTimeoutMs }: Form): number =>
  replyTimeoutMs + SLACK_MS;

const killEach100Ms: Scenario["play"] = async (stage) => {
  await stage.wait(500);
  await stage.repeat(100, 4000, () => stage.killAll());
};

export const scenarios: readonly Scenario[] = [
  {
    name: "calm",
    fault: "nothing goes wrong",
    demands: { nobodyFails: true },
    play: () => Promise.resolve(),
  },
  {
    name: "kill",
    fault: "CLIENT KILL of all each 100 ms",
    connections: 5,
    demands: { nobodyFails: true, p99HitMs: 10 },
    play: killEach100Ms,
  },
  {
    name: "restart",
    fault: "restart three times, 300 ms each",
    connections: 5,
    demands: { longestMs: refusedMs },
    async play(stage) {
      stage.away();
      for (let time = 1; time <= 3; time++) {
        await stage.wait(700);
        await stage.server.restart({ downMs: stage.span(300) });
      }
      stage.back();
    },
  },
  {
    name: "down",
    fault: "down for 5 s",
    connections: 5,
    demands: { longestMs: refusedMs, dialsPerSecond: 30 },
    async play(stage) {
      await stage.wait(1000);
      stage.away();
      await stage.server.stop();
      await stage.wait(5000);
      await stage.server.start();
      stage.back();
    },
  },
  {
    name: "silent",
    fault: "open connections go silent (no FIN, no RST)",
    connections: 5,
    demands: { longestMs: silentMs, paysOnce: true },
    async play(stage) {
      await stage.wait(1000);
      stage.proxy.silence({ scope: "open" });
    },
  },
  {
    name: "reset",
    fault: "reset after 1 to 400 reply bytes, again and again",
    demands: { longestMs: refusedMs },
    async play(stage) {
      // A multiplicative generator: the same bytes in every run.
      let seed = 20_190_106;
      const nextBytes = () => 1 + (seed = seed * 48_271 % 0x7fff_ffff) % 400;
      await stage.wait(500);
      stage.proxy.cut(nextBytes(), { by: "rst" });
      await stage.repeat(
        3,
        4000,
        () => stage.proxy.cut(nextBytes(), { by: "rst", scope: "new" }),
      );
      stage.proxy.pass();
      stage.back();
    },
  },
  {
    name: "kill-tls",
    fault: "the same kills over TLS",
    tls: true,
    connections: 5,
    demands: { nobodyFails: true, p99HitMs: 60 },
    play: killEach100Ms,
  },
  {
    name: "full",
    fault: "killed, and full for 1.5 s (max clients)",
    connections: 5,
    demands: { longestMs: refusedMs, dialsPerSecond: 30 },
    async play(stage) {
      const { hostname, port } = stage.server;
      // Once the server is full, only who is there already can change that.
      const admin = await Deno.connect({ hostname, port });
      const allow = (clients: number) =>
        admin.write(
          new TextEncoder().encode(`CONFIG SET maxclients ${clients}\r\n`),
        );
      await stage.wait(1000);
      stage.away();
      await allow(1);
      await admin.read(new Uint8Array(64));
      await stage.proxy.killAll("fin");
      await stage.wait(1500);
      await allow(10_000);
      await admin.read(new Uint8Array(64));
      stage.back();
      admin.close();
    },
  },
  {
    name: "failover",
    fault: "failover, the old primary answers READONLY",
    connections: 5,
    demands: { longestMs: refusedMs, dialsPerSecond: 200 },
    prepare: startReplica,
    async play(stage) {
      await stage.wait(1000);
      stage.away();
      await demote(stage);
      await stage.wait(1500);
      await promote(stage);
      stage.back();
    },
  },
  {
    name: "loading",
    fault: "restart, then LOADING for 1.5 s",
    connections: 5,
    config: {
      "enable-debug-command": "yes",
      "loading-process-events-interval-bytes": 1024,
    },
    demands: { longestMs: refusedMs },
    async prepare(stage) {
      // Ten keys for each millisecond of loading, in a file that is answered
      // from while it is read, as the commands after it are not.
      const { server } = stage;
      await server.cli("DEBUG", "POPULATE", 10 * stage.span(1500, 300));
      await server.cli("BGREWRITEAOF");
      while (
        /aof_rewrite_(in_progress|scheduled):1/.test(
          await server.cli("INFO", "persistence"),
        )
      ) await delay(10);
      await server.cli("CONFIG", "SET", "key-load-delay", 50);
      await server.cli("CONFIG", "REWRITE");
    },
    async play(stage) {
      await stage.wait(1000);
      stage.away();
      await stage.server.restart();
      stage.back();
    },
  },
  {
    name: "idle-kill",
    fault: "killed while idle between bursts",
    connections: 5,
    dueMs: (event) => 200 * Math.floor(event / BURST),
    demands: { nobodyFails: true, p99HitMs: 10 },
    async play(stage) {
      for (let burst = 0; burst * BURST < stage.form.events; burst++) {
        const dueAt = stage.loadStartedAt + 200 * burst + 150;
        await delay(Math.max(0, dueAt - performance.now()));
        await stage.killAll();
      }
    },
  },
  {
    name: "timeout",
    fault: "server timeout of 1 s, idle gaps of 2.5 s",
    connections: 5,
    config: { timeout: 1 },
    dueMs: (event, { events, perSecond }) =>
      event * 1000 / perSecond +
      2500 * Math.floor(event / (events / (events > 1000 ? 4 : 2))),
    demands: { nobodyFails: true, p99HitMs: 10 },
    play: () => Promise.resolve(),
  },
  {
    name: "late",
    fault: "all replies 200 ms late",
    connections: 5,
    demands: { nobodyFails: true },
    async play(stage) {
      await stage.wait(500);
      stage.proxy.delay(200);
      await stage.wait(4000);
      stage.proxy.pass();
    },
  },
  {
    name: "demotion",
    fault: "REPLICAOF, a replica is promoted at once",
    connections: 5,
    demands: { longestMs: refusedMs },
    prepare: startReplica,
    async play(stage) {
      await stage.wait(1000);
      stage.away();
      await demote(stage);
      await promote(stage);
      stage.back();
    },
  },
  {
    name: "one-silent",
    fault: "one connection of many goes silent",
    connections: 5,
    demands: { longestMs: silentMs, paysOnce: true },
    async prepare(stage) {
      // The first connection takes a way of its own.
      const { hostname, port } = stage.server;
      stage.sideway = stage.use(
        await startProxy({ target: { hostname, port } }),
      );
      const sideway = new Endpoint(stage.sideway.url);
      let first = true;
      stage.dial = (endpoint, options) => {
        const where = first ? sideway : endpoint;
        first = false;
        return dial(where, options);
      };
    },
    async play(stage) {
      await stage.wait(1000);
      stage.sideway?.silence();
    },
  },
  {
    name: "mute",
    fault: "the peer accepts and never answers, for 2 s",
    connections: 5,
    demands: { longestMs: muteMs, dialsPerSecond: 30 },
    async play(stage) {
      await stage.wait(1000);
      stage.away();
      stage.proxy.silence({ scope: "new" });
      await stage.proxy.killAll("fin");
      await stage.wait(2000);
      stage.proxy.pass({ scope: "new" });
      stage.back();
    },
  },
  {
    name: "slam",
    fault: "the peer closes every connection at once, for 3 s",
    connections: 5,
    demands: { longestMs: refusedMs, dialsPerSecond: 30 },
    async play(stage) {
      await stage.wait(1000);
      stage.away();
      await stage.proxy.slam("fin");
      await stage.proxy.killAll("fin");
      await stage.wait(3000);
      await stage.proxy.accept();
      stage.back();
    },
  },
  {
    ...dns,
    name: "dns",
    connections: 5,
    demands: { longestMs: muteMs, dialsPerSecond: 30, queues: true },
  },
  {
    name: "half-tls",
    fault: "half a TLS handshake, then nothing, for 2 s",
    tls: true,
    connections: 5,
    demands: { longestMs: muteMs, dialsPerSecond: 30 },
    async play(stage) {
      const { hostname, tlsPort } = stage.server;
      const peer = stage.use(halfTlsPeer({ hostname, port: tlsPort }));
      await stage.wait(1000);
      stage.away();
      stage.proxy.retarget({ port: peer.port });
      await stage.proxy.killAll("fin");
      await stage.wait(2000);
      stage.proxy.retarget({ port: tlsPort });
      stage.back();
    },
  },
  {
    name: "large",
    fault: "reset while large commands are being written",
    recorderOnly: true,
    connections: 5,
    count: 10_000,
    events: ({ events }) => events > 1000 ? 40 : 15,
    dueMs: (event) => 20 * event,
    async play(stage) {
      for (let time = 1; time <= 2; time++) {
        await delay(100);
        // A frozen server does not read, so what is written piles up.
        stage.server.freeze();
        await delay(100);
        await stage.proxy.killAll("rst");
        stage.server.thaw();
      }
      stage.back();
    },
  },
  {
    name: "transaction",
    fault: "killed while a lease holds a transaction",
    connections: 5,
    demands: { nobodyFails: true },
    async play(stage) {
      const claims = { success: 0, unsent: 0, executed: 0, unknown: 0 };
      const stop = new AbortController();
      const transfers = transferUntil(stop.signal, stage, claims);
      await killEach100Ms(stage);
      const giveUpAt = performance.now() + 5000;
      while (claims.success === 0 && performance.now() < giveUpAt) {
        await delay(10);
      }
      stop.abort();
      await transfers;
      const [from, to] = await Promise.all(
        ["from", "to"].map(async (key) =>
          Number(await stage.truth.cli("GET", key))
        ),
      );
      if (from !== to) {
        stage.complain(`a transaction was torn: ${from} and ${to}`);
      }
      if (to! < claims.success || to! > claims.success + claims.unknown) {
        stage.complain(
          `${to} transactions ran, ${claims.success} succeeded and ${claims.unknown} may have run`,
        );
      }
      if (claims.success === 0) stage.complain("no transaction succeeded");
    },
  },
  {
    name: "closing",
    fault: "killed while close() drains",
    connections: 5,
    async play(stage) {
      await stage.wait(1000);
      stage.proxy.delay(50);
      await stage.wait(200, 100);
      const startedAt = performance.now();
      const drained = stage.drain();
      stage.away();
      for (let time = 1; time <= 5; time++) {
        await delay(30);
        await stage.killAll();
      }
      stage.proxy.pass();
      stage.back();
      await drained;
      const ms = performance.now() - startedAt;
      if (ms > 5000 + SLACK_MS) {
        stage.complain(`closing took ${ms.toFixed(0)} ms, 5000 ms are allowed`);
      }
      const { open } = stage.redis.stats();
      if (open > 0) {
        stage.complain(`${open} connections are open after close()`);
      }
    },
  },
];

const BURST = 50;

/** MULTI on a lease, one after the other; who fails says what became of EXEC. */
async function transferUntil(
  stop: AbortSignal,
  { redis }: Stage,
  claims: Record<"success" | "unsent" | "executed" | "unknown", number>,
): Promise<void> {
  while (!stop.aborted) {
    let isSent = false;
    try {
      await using lease = await redis.lease();
      await lease.send(["MULTI"]);
      await lease.send(["INCR", "from"]);
      await delay(10);
      await lease.send(["INCR", "to"]);
      isSent = true;
      await lease.send(["EXEC"]);
      claims.success++;
    } catch (error) {
      claims[isSent ? fateOf(error) : "unsent"]++;
    }
  }
}
