// Every fault that the module must survive, one after the other.
import { delay } from "@std/async/delay";
import { DIAL_PAUSE_MS } from "../../pool/dialer.ts";
import { startProxy } from "../support/fault_proxy.ts";
import type { Claim } from "./client.ts";
import { dns } from "./dns.ts";
import { demote, promote, startReplica } from "./failover.ts";
import type { LoadProfile } from "./load_profile.ts";
import { halfTlsPeer } from "./peers.ts";
import type { Scenario } from "./scenario.ts";
import type { FaultFixture } from "./fixture.ts";

/** The waits of the default policy are 100, 200 and 400 ms at most. */
const WAITS_MS = 700;
/** Time for the machine itself. */
const SLACK_MS = 150;

/** No server listens: each of the four attempts fails at once, or with the dial after a pause. */
const refusedMs = (): number => WAITS_MS + 4 * 2 * DIAL_PAUSE_MS + SLACK_MS;
/** Each of the four attempts may take the connect timeout. */
const muteMs = ({ connectTimeoutMs }: LoadProfile): number =>
  WAITS_MS + 4 * connectTimeoutMs + SLACK_MS;
/** The reply timeout and one dial. */
const silentMs = ({ replyTimeoutMs }: LoadProfile): number =>
  replyTimeoutMs + SLACK_MS;

const killEach100Ms: Scenario["run"] = async (fixture) => {
  await fixture.wait(500);
  await fixture.repeat(100, 4000, () => fixture.killAll());
};

export const scenarios: readonly Scenario[] = [
  {
    name: "calm",
    fault: "nothing goes wrong",
    demands: { noneFails: true },
    run: () => Promise.resolve(),
  },
  {
    name: "kill",
    fault: "CLIENT KILL of all each 100 ms",
    connections: 5,
    demands: { noneFails: true, p99HitMs: 10 },
    run: killEach100Ms,
  },
  {
    name: "rotation",
    fault: "its password changed each 100 ms, and all killed",
    connections: 5,
    user: "app",
    demands: { noneFails: true },
    prepare: async ({ server, password }) => {
      await server.cli(
        "ACL",
        "SETUSER",
        "app",
        "on",
        `>${password}`,
        "+@all",
        "~*",
      );
    },
    async run(fixture) {
      await fixture.wait(500);
      let rotations = 0;
      await fixture.repeat(100, 4000, async () => {
        const { server, password: old } = fixture;
        const password = `number-${++rotations}`;
        await server.cli("ACL", "SETUSER", "app", `>${password}`);
        fixture.password = password;
        await fixture.client.setPassword(password);
        await server.cli("ACL", "SETUSER", "app", `<${old}`);
        await server.cli("CLIENT", "KILL", "USER", "app");
      });
    },
  },
  {
    name: "restart",
    fault: "restart three times, 300 ms each",
    connections: 5,
    demands: { longestMs: refusedMs },
    async run(fixture) {
      fixture.away();
      for (let time = 1; time <= 3; time++) {
        await fixture.wait(700);
        await fixture.server.restart({ downMs: fixture.span(300) });
      }
      fixture.back();
    },
  },
  {
    name: "down",
    fault: "down for 5 s",
    connections: 5,
    demands: { longestMs: refusedMs, dialsPerSecond: 30 },
    async run(fixture) {
      await fixture.wait(1000);
      fixture.away();
      await fixture.server.stop();
      await fixture.wait(5000);
      await fixture.server.start();
      fixture.back();
    },
  },
  {
    name: "silent",
    fault: "open connections go silent (no FIN, no RST)",
    connections: 5,
    demands: { longestMs: silentMs, paysOnce: true },
    async run(fixture) {
      await fixture.wait(1000);
      fixture.proxy.silence({ scope: "open" });
    },
  },
  {
    name: "reset",
    fault: "reset after 1 to 400 reply bytes, again and again",
    demands: { longestMs: refusedMs },
    async run(fixture) {
      // A multiplicative generator: the same bytes in every run.
      let seed = 20_190_106;
      const nextBytes = () => 1 + (seed = seed * 48_271 % 0x7fff_ffff) % 400;
      await fixture.wait(500);
      fixture.proxy.cut(nextBytes(), { by: "rst" });
      await fixture.repeat(
        3,
        4000,
        () => fixture.proxy.cut(nextBytes(), { by: "rst", scope: "new" }),
      );
      fixture.proxy.pass();
      fixture.back();
    },
  },
  {
    name: "kill-tls",
    fault: "the same kills over TLS",
    tls: true,
    connections: 5,
    demands: { noneFails: true, p99HitMs: 60 },
    run: killEach100Ms,
  },
  {
    name: "full",
    fault: "killed, and full for 1.5 s (max clients)",
    connections: 5,
    demands: { longestMs: refusedMs, dialsPerSecond: 30 },
    async run(fixture) {
      const { hostname, port } = fixture.server;
      // Once the server is full, only an open connection can change that.
      const admin = await Deno.connect({ hostname, port });
      const allow = (clients: number) =>
        admin.write(
          new TextEncoder().encode(`CONFIG SET maxclients ${clients}\r\n`),
        );
      await fixture.wait(1000);
      fixture.away();
      await allow(1);
      await admin.read(new Uint8Array(64));
      await fixture.proxy.killAll("fin");
      await fixture.wait(1500);
      await allow(10_000);
      await admin.read(new Uint8Array(64));
      fixture.back();
      admin.close();
    },
  },
  {
    name: "failover",
    fault: "failover, the old primary answers READONLY",
    connections: 5,
    demands: { longestMs: refusedMs, dialsPerSecond: 200 },
    prepare: startReplica,
    async run(fixture) {
      await fixture.wait(1000);
      fixture.away();
      await demote(fixture);
      await fixture.wait(1500);
      await promote(fixture);
      fixture.back();
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
    async prepare(fixture) {
      // Ten keys for each millisecond of loading, in the RDB part of the file:
      // while it is read the server answers, while it reads the rest it does not.
      const { server } = fixture;
      await server.cli("DEBUG", "POPULATE", 10 * fixture.span(1500, 300));
      await server.cli("BGREWRITEAOF");
      while (
        /aof_rewrite_(in_progress|scheduled):1/.test(
          await server.cli("INFO", "persistence"),
        )
      ) await delay(10);
      await server.cli("CONFIG", "SET", "key-load-delay", 50);
      await server.cli("CONFIG", "REWRITE");
    },
    async run(fixture) {
      await fixture.wait(1000);
      fixture.away();
      await fixture.server.restart();
      fixture.back();
    },
  },
  {
    name: "idle-kill",
    fault: "killed while idle between bursts",
    connections: 5,
    dueMs: (event) => 200 * Math.floor(event / BURST),
    demands: { noneFails: true, p99HitMs: 10 },
    async run(fixture) {
      for (let burst = 0; burst * BURST < fixture.profile.events; burst++) {
        const dueAt = fixture.loadStartedAt + 200 * burst + 150;
        await delay(Math.max(0, dueAt - performance.now()));
        await fixture.killAll();
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
    demands: { noneFails: true, p99HitMs: 10 },
    run: () => Promise.resolve(),
  },
  {
    name: "late",
    fault: "all replies 200 ms late",
    connections: 5,
    demands: { noneFails: true },
    async run(fixture) {
      await fixture.wait(500);
      fixture.proxy.delay(200);
      await fixture.wait(4000);
      fixture.proxy.pass();
    },
  },
  {
    name: "demotion",
    fault: "REPLICAOF, a replica is promoted at once",
    connections: 5,
    demands: { longestMs: refusedMs },
    prepare: startReplica,
    async run(fixture) {
      await fixture.wait(1000);
      fixture.away();
      await demote(fixture);
      await promote(fixture);
      fixture.back();
    },
  },
  {
    name: "one-silent",
    fault: "one connection of many goes silent",
    connections: 5,
    demands: { longestMs: silentMs, paysOnce: true },
    async prepare(fixture) {
      // The first connection goes through a proxy of its own.
      const { hostname, port } = fixture.server;
      fixture.secondProxy = fixture.use(
        await startProxy({ target: { hostname, port } }),
      );
    },
    async run(fixture) {
      await fixture.wait(1000);
      fixture.secondProxy?.silence();
    },
  },
  {
    name: "mute",
    fault: "the peer accepts and never answers, for 2 s",
    connections: 5,
    demands: { longestMs: muteMs, dialsPerSecond: 30 },
    async run(fixture) {
      await fixture.wait(1000);
      fixture.away();
      fixture.proxy.silence({ scope: "new" });
      await fixture.proxy.killAll("fin");
      await fixture.wait(2000);
      fixture.proxy.pass({ scope: "new" });
      fixture.back();
    },
  },
  {
    name: "slam",
    fault: "the peer closes every connection at once, for 3 s",
    connections: 5,
    demands: { longestMs: refusedMs, dialsPerSecond: 30 },
    async run(fixture) {
      await fixture.wait(1000);
      fixture.away();
      await fixture.proxy.slam("fin");
      await fixture.proxy.killAll("fin");
      await fixture.wait(3000);
      await fixture.proxy.accept();
      fixture.back();
    },
  },
  {
    ...dns,
    name: "dns",
    absentOn: { bun: "Bun keeps an address for 30 s, and asks no name server" },
    connections: 5,
    demands: { longestMs: muteMs, dialsPerSecond: 30, queues: true },
  },
  {
    name: "half-tls",
    fault: "half a TLS handshake, then nothing, for 2 s",
    tls: true,
    connections: 5,
    demands: { longestMs: muteMs, dialsPerSecond: 30 },
    async run(fixture) {
      const { hostname, tlsPort } = fixture.server;
      const peer = fixture.use(halfTlsPeer({ hostname, port: tlsPort }));
      await fixture.wait(1000);
      fixture.away();
      fixture.proxy.retarget({ port: peer.port });
      await fixture.proxy.killAll("fin");
      await fixture.wait(2000);
      fixture.proxy.retarget({ port: tlsPort });
      fixture.back();
    },
  },
  {
    name: "large",
    fault: "reset while large commands are being written",
    recorderOnly: true,
    connections: 5,
    count: 10_000,
    demands: { mayDrop: true },
    events: ({ events }) => events > 1000 ? 40 : 15,
    dueMs: (event) => 20 * event,
    async run(fixture) {
      for (let time = 1; time <= 2; time++) {
        await delay(100);
        // A frozen server does not read, so writes pile up.
        fixture.server.freeze();
        await delay(100);
        await fixture.proxy.killAll("rst");
        fixture.server.thaw();
      }
      fixture.back();
    },
  },
  {
    name: "transaction",
    fault: "killed while a lease holds a transaction",
    connections: 5,
    demands: { noneFails: true },
    async run(fixture) {
      const claims = { success: 0, unsent: 0, executed: 0, unknown: 0 };
      const stop = new AbortController();
      const transfers = transferUntil(stop.signal, fixture, claims);
      await killEach100Ms(fixture);
      const giveUpAt = performance.now() + 5000;
      while (claims.success === 0 && performance.now() < giveUpAt) {
        await delay(10);
      }
      stop.abort();
      await transfers;
      const [from, to] = await Promise.all(
        ["from", "to"].map(async (key) =>
          Number(await fixture.truth.cli("GET", key))
        ),
      );
      if (from !== to) {
        fixture.violate(`a transaction was torn: ${from} and ${to}`);
      }
      if (to! < claims.success || to! > claims.success + claims.unknown) {
        fixture.violate(
          `${to} transactions ran, ${claims.success} succeeded and ${claims.unknown} may have run`,
        );
      }
      if (claims.success === 0) fixture.violate("no transaction succeeded");
    },
  },
  {
    name: "closing",
    fault: "killed while close() drains",
    connections: 5,
    async run(fixture) {
      await fixture.wait(1000);
      fixture.proxy.delay(50);
      await fixture.wait(200, 100);
      const startedAt = performance.now();
      const drained = fixture.drain();
      fixture.away();
      for (let time = 1; time <= 5; time++) {
        await delay(30);
        await fixture.killAll();
      }
      fixture.proxy.pass();
      fixture.back();
      await drained;
      const ms = performance.now() - startedAt;
      if (ms > 5000 + SLACK_MS) {
        fixture.violate(
          `closing took ${ms.toFixed(0)} ms, 5000 ms are allowed`,
        );
      }
      const open = await fixture.client.openConnections();
      if (open > 0) {
        fixture.violate(`${open} connections are open after close()`);
      }
    },
  },
];

const BURST = 50;

/** Transactions on leases, one after the other, counted by how they ended. */
async function transferUntil(
  stop: AbortSignal,
  { client }: FaultFixture,
  claims: Record<Claim, number>,
): Promise<void> {
  while (!stop.aborted) claims[await client.transfer("from", "to")]++;
}
