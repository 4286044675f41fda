// Which servers of a cluster are kept, and which leave.

import "../../support/strict.ts";
import { assert, assertEquals, assertFalse, assertLess } from "@std/assert";
import { ClusterServers } from "../../../client/servers/cluster_servers.ts";
import { Server } from "../../../client/servers/server.ts";
import { Topology } from "../../../client/servers/topology.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { IGNORED, OPTIONS } from "./server_setup.ts";

const clusterServers = (
  make: (...options: ConstructorParameters<typeof Server>) => Server = (
    ...options
  ) => new Server(...options),
) =>
  new ClusterServers({
    endpoint: new Endpoint("redis://h:7000?cluster=true"),
    name: "the cluster of h:7000",
    serverAt: (endpoint) =>
      make(endpoint, { ...OPTIONS, maxConnections: 1 }, IGNORED),
    onFailover: () => {},
  });

Deno.test("Servers that ASK makes up are bounded in number, and a primary that it names stays", () => {
  const servers = clusterServers();
  servers.adopt(Topology.ofOne({ hostname: "h", port: 7000 }));
  const primary = servers.detourTo({ hostname: "h", port: 7000 });
  for (let port = 1; port <= 5000; port++) {
    servers.detourTo({ hostname: "made.up", port });
  }
  assert([...servers].length <= 257, `${[...servers].length}`);
  assert(servers.has(primary));
  assertEquals(servers.leaving(), []);
});

Deno.test("The server that an ASK has named last is not the one to leave", () => {
  const servers = clusterServers();
  const first = servers.detourTo({ hostname: "made.up", port: 1 });
  for (let port = 2; port <= 256; port++) {
    servers.detourTo({ hostname: "made.up", port });
  }
  assertEquals(servers.detourTo({ hostname: "made.up", port: 1 }), first);
  const second = servers.detourTo({ hostname: "made.up", port: 2 });
  servers.detourTo({ hostname: "made.up", port: 257 });
  assert(servers.has(first));
  assert(servers.has(second));
  servers.detourTo({ hostname: "made.up", port: 258 });
  const third = [...servers].some(({ endpoint }) => endpoint.port === 3);
  assertFalse(third);
});

Deno.test("A primary without hash slots leaves, even if an ASK has named it of late", () => {
  const servers = clusterServers();
  servers.adopt(Topology.ofOne({ hostname: "h", port: 7000 }));
  const before = servers.detourTo({ hostname: "h", port: 7000 });
  servers.adopt(Topology.ofOne({ hostname: "h", port: 7001 }));
  assertFalse(servers.has(before));
});

/** A server whose silence a test sets, with what it was told. */
class Silent extends Server {
  silence = 0;
  readonly closed: number[] = [];

  override silentMs(): number {
    return this.silence;
  }

  override closeSilent(ms: number): void {
    this.closed.push(ms);
  }

  override closeOwing(): void {
    this.closed.push(Infinity);
  }

  override get isEmpty(): boolean {
    return false;
  }
}

Deno.test("Of a server that leaves every silent connection ends at once if it has been silent for half a second, else once it is", () => {
  const made: Silent[] = [];
  const servers = clusterServers((...options) => {
    const server = new Silent(...options);
    made.push(server);
    return server;
  });
  const leaveAfter = (silence: number): Silent => {
    servers.adopt(Topology.ofOne({ hostname: "h", port: 7000 }));
    servers.holderOf(0);
    const server = made.at(-1)!;
    server.silence = silence;
    servers.adopt(Topology.ofOne({ hostname: "h", port: 7001 }));
    servers.holderOf(0);
    return server;
  };
  const silent = leaveAfter(500);
  assertEquals(silent.closed.length, 1);
  assertLess(silent.closed[0]!, 1e-9); // however short
  const busy = leaveAfter(499);
  servers.endLastWords();
  assertEquals(busy.closed, []);
  busy.silence = 500;
  servers.endLastWords();
  assertEquals(busy.closed, [500]);
});

Deno.test("What blocks ends two seconds after its hash slots have gone, and not where an ASK alone has named the server", () => {
  const made: Silent[] = [];
  const servers = clusterServers((...options) => {
    const server = new Silent(...options);
    made.push(server);
    return server;
  });
  servers.adopt(Topology.ofOne({ hostname: "h", port: 7000 }));
  servers.holderOf(0);
  servers.adopt(Topology.ofOne({ hostname: "h", port: 7001 }));
  for (let port = 1; port <= 257; port++) {
    servers.detourTo({ hostname: "target", port });
  }
  const [primary, target] = made;
  assertEquals(servers.leaving(), [primary!, target!]);
  servers.endLastWords();
  assertEquals([primary!.closed, target!.closed], [[], []]);
  const { now } = performance;
  try {
    performance.now = () => now.call(performance) + 2000;
    servers.endLastWords();
  } finally {
    performance.now = now;
  }
  assertEquals([primary!.closed, target!.closed], [[Infinity], []]);
});
