// That a watch of several servers follows them as they come and go.

import "../../support/strict.ts";
import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { dutiesOf } from "../../../cli/watch/command.ts";
import type {
  DeathEvent,
  NodesEvent,
  SummaryEvent,
  WatchEvent,
} from "../../../cli/watch/json_lines.ts";
import {
  ClusterNodes,
  type NodeSource,
  SentinelNodes,
} from "../../../cli/watch/node_source.ts";
import { NodesWatch } from "../../../cli/watch/nodes_watch.ts";
import { Topology } from "../../../client/servers/topology.ts";
import { Redis } from "../../../mod.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { startCluster } from "../../support/redis_cluster.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";
import { until } from "../../support/wait.ts";
import { SentinelDouble } from "../../client/servers/sentinel_double.ts";
import { idsOf, NAME } from "./clients.ts";

/** A watch in this process. */
class Run implements AsyncDisposable {
  readonly events: WatchEvent[] = [];
  readonly watch: NodesWatch;
  readonly #stop = new AbortController();
  readonly #summaries: Promise<SummaryEvent[]>;

  constructor(source: NodeSource, url: string) {
    const endpoint = new Endpoint(url, { clientName: NAME });
    this.watch = new NodesWatch({
      source,
      endpointAt: ({ hostname, port }) => endpoint.at(hostname, port),
      duties: dutiesOf({ idle: 2, busy: 1, everyMs: 50 }),
      forMs: Infinity,
      timeoutMs: 1000,
      lookEveryMs: 100,
      signal: this.#stop.signal,
      onEvent: (event) => this.events.push(...[event].flat()),
    });
    this.#summaries = this.watch.run();
    this.#summaries.catch(() => {});
  }

  of<Type extends WatchEvent["type"]>(
    type: Type,
  ): Extract<WatchEvent, { type: Type }>[] {
    return this.events.filter((event) => event.type === type) as Extract<
      WatchEvent,
      { type: Type }
    >[];
  }

  get deaths(): DeathEvent[] {
    return this.of("death");
  }

  end(): Promise<SummaryEvent[]> {
    this.#stop.abort();
    return this.#summaries;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end().catch(() => {});
  }
}

const nameOf = ({ hostname, port }: RedisServer): string =>
  `${hostname}:${port}`;

/** Servers, each with hash slots from a first to a last one. */
function topologyOf(
  ...servers: [server: RedisServer, first: number, last: number][]
): Topology {
  return Topology.from(
    servers.map(([{ hostname, port }, first, last]) => [
      first,
      last,
      [hostname, port, "id"],
    ]),
    { hostname: "h", port: 1 },
    { isTls: false, mapAddress: (address) => address },
  )!;
}

/** A source whose answers are those of the test. */
class Said implements NodeSource {
  readonly name = "the test";
  asked = 0;
  #answers: (() => Topology)[];

  constructor(...answers: (() => Topology)[]) {
    this.#answers = answers;
  }

  /** Answers of the next questions; the last one is repeated. */
  say(...answers: (() => Topology)[]): void {
    this.#answers = answers;
  }

  async look(): Promise<Topology> {
    this.asked++;
    await delay(0);
    return (this.#answers.length > 1
      ? this.#answers.shift()!
      : this.#answers[0]!)();
  }

  evidenceOf({ evidence }: { readonly evidence: string }): string {
    return evidence;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

Deno.test("Every server is watched, and one whose hash slots have gone is left with a verdict", async () => {
  await using first = await startRedis();
  await using second = await startRedis();
  await using third = await startRedis();
  const before = () => topologyOf([first, 0, 99], [second, 100, 16383]);
  const after = () => topologyOf([first, 0, 99], [third, 100, 16383]);
  await using source = new Said(before);
  await using run = new Run(source, first.url);
  await until(() => run.watch.status.open === 6);
  assertEquals(
    run.of("nodes").map(({ of, nodes, covered }) => ({
      of,
      nodes,
      covered,
    })),
    [{
      of: "the test",
      nodes: [
        { node: nameOf(first), hashSlots: "0-99" },
        { node: nameOf(second), hashSlots: "100-16383" },
      ],
      covered: 16384,
    }],
  );

  await second.stop();
  await until(() => run.of("away").length === 1);
  assertEquals(run.of("away")[0]!.node, nameOf(second));
  // One answer that differs does not count, nor do two that differ in turn.
  source.say(after, before, after, before);
  const { asked } = source;
  await until(() => source.asked > asked + 5);
  assertEquals([run.of("nodes").length, run.deaths], [1, []]);

  source.say(after);
  await until(() => run.deaths.length === 3);
  for (const { node, cause, verdict } of run.deaths) {
    assertEquals([node, cause], [nameOf(second), "failover"]);
    assertStringIncludes(
      verdict,
      `hash slots 100-16383 went to ${nameOf(third)}`,
    );
  }
  assertEquals(run.of("nodes")[1]!.changes, [{
    from: nameOf(second),
    to: nameOf(third),
    what: `hash slots 100-16383 went to ${nameOf(third)}`,
  }]);
  await until(() => run.watch.status.open === 6);
  const started = run.of("start").map(({ endpoint }) => endpoint);
  // The first two are dialed side by side.
  assertEquals(
    started.slice(0, 2).sort(),
    [nameOf(first), nameOf(second)].sort(),
  );
  assertEquals(started.slice(2), [nameOf(third)]);
  const summaries = await run.end();
  assertEquals(
    summaries.map(({ endpoint, deaths, open }) => [endpoint, deaths, open]),
    [[nameOf(second), 3, 0], [nameOf(first), 0, 3], [nameOf(third), 0, 3]],
  );
  assertEquals([await idsOf(first), await idsOf(third)], [[], []]);
});

Deno.test("What does not answer when its server is replaced has ended by that, and is not waited for", async () => {
  await using first = await startRedis();
  await using second = await startRedis();
  await using source = new Said(() => topologyOf([first, 0, 16383]));
  await using run = new Run(source, first.url);
  await until(() => run.watch.status.open === 3);
  first.freeze();
  await delay(700); // the busy one gives up after a second
  source.say(() => topologyOf([second, 0, 16383]));
  await until(() => run.deaths.length > 0);
  assertEquals(
    run.deaths.map(({ role, how, cause }) => [role, how, cause]),
    [["busy", "silence", "failover"]],
  );
  first.thaw();
});

Deno.test("A server that cannot be reached at the start is away, and the others are watched", async () => {
  await using first = await startRedis();
  await using second = await startRedis();
  await second.stop();
  await using source = new Said(() =>
    topologyOf([first, 0, 99], [second, 100, 16383])
  );
  await using run = new Run(source, first.url);
  await until(() => run.of("away").length === 1);
  await until(() => run.watch.status.open === 3);
  assertEquals(run.watch.status.isAway, true);
  await second.start();
  await until(() => run.watch.status.open === 6);
  assertEquals(run.of("back").map(({ node }) => node), [nameOf(second)]);
});

Deno.test("A watch of several servers fails where nothing says which they are", async () => {
  await using source = new Said(() => {
    throw new Error("no answer");
  });
  await using run = new Run(source, "redis://127.0.0.1:1");
  await assertRejects(() => run.end(), Error, "no answer");
});

Deno.test("A server without a cluster is watched as one that holds every hash slot", async () => {
  await using server = await startRedis();
  await using source = new ClusterNodes(
    new Redis(`${server.url}?cluster=true`),
    false,
  );
  await using run = new Run(source, server.url);
  await until(() => run.watch.status.open === 3);
  const [{ nodes, of }] = run.of("nodes") as [NodesEvent];
  assertEquals(nodes, [{ node: nameOf(server), hashSlots: "0-16383" }]);
  assertEquals(of, `the cluster of ${nameOf(server)}`);
});

Deno.test("The primary that Sentinels name is watched, and left when they name another", async () => {
  await using one = await startRedis();
  await using two = await startRedis();
  await using sentinel = new SentinelDouble({ primary: nameOf(one), epoch: 1 });
  await using source = new SentinelNodes(
    new Redis(`redis://${sentinel.address}?sentinel=mymaster`),
    "mymaster",
  );
  await using run = new Run(source, one.url);
  await until(() => run.watch.status.open === 3);
  assertEquals(run.of("nodes")[0]!.of, "the primary mymaster");
  sentinel.says.primary = nameOf(two);
  sentinel.says.epoch = 2;
  await one.stop();
  await until(() => run.deaths.length === 3);
  for (const { cause, node, evidence } of run.deaths) {
    assertEquals([cause, node], ["failover", nameOf(one)]);
    assertStringIncludes(
      evidence.join(),
      `Sentinel names ${nameOf(two)} as the primary of mymaster`,
    );
  }
  await until(() => run.watch.status.open === 3);
});

Deno.test("Each primary of a cluster is watched, through a crash and a failover by hand", async () => {
  await using cluster = await startCluster();
  await using source = new ClusterNodes(new Redis(cluster.url), false);
  await using run = new Run(source, cluster.url);
  await until(() => run.watch.status.open === 9);
  const [first, second] = cluster.nodes as [
    (typeof cluster.nodes)[0],
    (typeof cluster.nodes)[0],
  ];
  await cluster.kill(second);
  await until(() => run.of("nodes").length === 2);
  await until(() => run.deaths.length === 3);
  for (const { node, cause, confidence, verdict } of run.deaths) {
    assertEquals([node, cause, confidence], [
      second.address,
      "failover",
      "likely",
    ]);
    assertMatch(verdict, /hash slots 5461-10921 went to 127\.0\.0\.1:\d+, /);
  }
  await until(() => run.watch.status.open === 9);
  const [successor] = run.of("nodes")[1]!.changes;
  assertEquals(successor!.from, second.address);
  assertEquals(run.of("start").at(-1)!.endpoint, successor!.to);

  // By hand nothing ends, and the new primary is watched.
  await cluster.failover(await cluster.replicaOf(first));
  await until(() => run.of("nodes").length === 3);
  assertEquals(run.of("nodes")[2]!.changes[0]!.from, first.address);
  await until(() => run.watch.status.open === 9);
  assertEquals(run.deaths.length, 3);
});
