// Which server holds which hash slots: by replies as servers write them, by hostile ones, and by redirects.

import "../../support/strict.ts";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import type { Naming } from "../../../client/servers/cluster_slots.ts";
import { Topology } from "../../../client/servers/topology.ts";
import { type Address, textOfAddress } from "../../../pool/socket/address.ts";
import { ReplyError } from "../../../resp/errors.ts";
import type { Reply } from "../../../resp/types.ts";
import { Conversation } from "../../support/conversation.ts";
import { freePort } from "../../support/free_port.ts";
import { startRedis } from "../../support/redis_server.ts";
import { ASKED, at, PLAIN, read, threeByThree } from "./topologies.ts";

const TLS: Naming = { ...PLAIN, isTls: true };

const holderOf = (topology: Topology, hashSlot: number): string | undefined => {
  const shard = topology.shards[topology.shardOf(hashSlot)];
  return shard && textOfAddress(shard.primary);
};

/** Its primaries with their hash slots. */
const rangesOf = (topology: Topology): Record<string, string> =>
  Object.fromEntries(
    topology.shards.map(({ primary }) => [
      textOfAddress(primary),
      topology.rangesOf(primary),
    ]),
  );

Deno.test("A topology says which server holds a hash slot, which are replicas, and what each holds", () => {
  const topology = threeByThree();
  assertEquals(
    topology.shards,
    [[7001, 7004, 5461], [7002, 7005, 5462], [7003, 7006, 5461]].map((
      [primary, replica, hashSlots],
    ) => ({
      primary: at(primary!),
      replicas: [at(replica!)],
      hashSlots: hashSlots!,
    })),
  );
  assertEquals(topology.covered, 16384);
  assertEquals(rangesOf(topology), {
    "h:7001": "0-5460",
    "h:7002": "5461-10922",
    "h:7003": "10923-16383",
  });
  assertEquals(
    [0, 5460, 5461, 16383].map((hashSlot) => holderOf(topology, hashSlot)),
    ["h:7001", "h:7001", "h:7002", "h:7003"],
  );
  assert(topology.isPrimary(at(7001)));
  assert(!topology.isPrimary(at(7004)));
  assert(!topology.isPrimary(at(7009)));
  assertStrictEquals(topology.shardOfReplica(at(7005)), topology.shards[1]);
  assertEquals(topology.shardOfReplica(at(7001)), undefined);
  assertEquals(topology.rangesOf(at(7004)), "");
});

Deno.test("A primary with several ranges is one shard", () => {
  const topology = read([
    [0, 99, ["h", 7001, "1"], ["h", 7004, "4"]],
    [100, 199, ["h", 7002, "2"]],
    [200, 300, ["h", 7001, "1"], ["h", 7004, "4"]],
    [16383, 16383, ["h", 7001, "1"], ["h", 7004, "4"]],
  ]);
  assertEquals(rangesOf(topology), {
    "h:7001": "0-99,200-300,16383",
    "h:7002": "100-199",
  });
  assertEquals(topology.shards[0]!.replicas, [at(7004)]);
  assertEquals(topology.covered, 302);
  assertEquals(holderOf(topology, 301), undefined);
});

Deno.test("Where ranges overlap, the later one counts", () => {
  const topology = read([
    [0, 100, ["h", 7001, "1"]],
    [50, 150, ["h", 7002, "2"]],
    [0, 9, ["h", 7001, "1"]],
  ]);
  assertEquals(rangesOf(topology), { "h:7001": "0-49", "h:7002": "50-150" });
  assertEquals(topology.covered, 151);
});

/** A server of a reply, how it is dialed without and with TLS, and what redirects may call it. */
const ENDPOINTS: readonly (readonly [
  node: Reply,
  plain: string | undefined,
  tls: string | undefined,
  aliases?: readonly string[],
])[] = [
  [["127.0.0.1", 7001], "127.0.0.1:7001", "127.0.0.1:7001"], // Redis 3
  [["127.0.0.1", 7001, "id", []], "127.0.0.1:7001", "127.0.0.1:7001"],
  [
    ["127.0.0.1", 7001, "id", ["hostname", "n1.redis.example"]],
    "127.0.0.1:7001",
    "n1.redis.example:7001",
    ["127.0.0.1:7001"],
  ],
  [
    ["n1.redis.example", 7001, "id", ["ip", "127.0.0.1"]],
    "n1.redis.example:7001",
    "n1.redis.example:7001",
    ["127.0.0.1:7001", "n1.redis.example:7001"],
  ],
  [["?", 7001, "id", ["ip", "10.0.0.1"]], "10.0.0.1:7001", "10.0.0.1:7001"],
  [["?", 7001, "id", []], undefined, undefined],
  [
    [null, 7001, "id", ["ip", "10.0.0.1", "hostname", "n1.redis.example"]],
    "asked.example:7001",
    "asked.example:7001",
  ],
  [["", 7001, "id", []], "asked.example:7001", "asked.example:7001"],
  [["", 0, "id", []], "asked.example:7000", "asked.example:7000"],
  [["h", 0, "id", []], "h:7000", "h:7000"],
  [
    ["n1.internal", 7001, "id", ["hostname", "n1.redis.example"]],
    "n1.internal:7001",
    "n1.internal:7001",
  ],
  [["::1", 7001, "id", []], "[::1]:7001", "[::1]:7001"],
  [["0:0::1", 7001, "id", ["hostname", "n1"]], "[::1]:7001", "n1:7001", [
    "[::1]:7001",
  ]],
  [
    ["10.0.0.1", 7001, "id", ["hostname", ""]],
    "10.0.0.1:7001",
    "10.0.0.1:7001",
  ],
  [["h", 7001, "id", null], "h:7001", "h:7001"],
  // None of these can be dialed.
  [["a b", 7001, "id", []], undefined, undefined],
  [["a/b", 7001, "id", []], undefined, undefined],
  [["a:b", 7001, "id", []], undefined, undefined],
  [["u@h", 7001, "id", []], undefined, undefined],
  [["h".repeat(300), 7001, "id", []], undefined, undefined],
  [["h", 70_000, "id", []], undefined, undefined],
  [["h", -1, "id", []], undefined, undefined],
  [["h", "7001", "id", []], undefined, undefined],
  [[7, 7001, "id", []], undefined, undefined],
  [["h"], undefined, undefined],
  [[], undefined, undefined],
  [null, undefined, undefined],
  ["h:7001", undefined, undefined],
];

Deno.test("A server is dialed at the host that it prefers, over TLS by its name, and a redirect may call it otherwise", () => {
  for (const [node, plain, tls, aliases = []] of ENDPOINTS) {
    const text = Deno.inspect(node);
    const reply = [[0, 16383, node, ["h", 9999, "id"]]];
    for (const [naming, expected] of [[PLAIN, plain], [TLS, tls]] as const) {
      const topology = read(reply, naming);
      assertEquals(holderOf(topology, 5), expected, text);
      assertEquals(topology.covered, expected === undefined ? 0 : 16384, text);
    }
    const topology = read(reply, TLS);
    for (const alias of aliases) {
      const [, hostname, port] = /^\[?(.*?)\]?:(\d+)$/.exec(alias)!;
      const address = topology.canonical(at(Number(port), hostname));
      assertEquals(textOfAddress(address), tls, alias);
    }
    const other = at(7001, "other.example");
    assertStrictEquals(topology.canonical(other), other);
    // As a replica it is left out where it cannot be dialed.
    const asReplica = read([[0, 16383, ["h", 9999, "id"], node]], TLS);
    assertEquals(
      asReplica.shards[0]!.replicas.map(textOfAddress),
      tls === undefined ? [] : [tls],
      text,
    );
  }
});

Deno.test("Each address is mapped, also that which a redirect may give, and an alias that cannot be is left out", () => {
  const mapAddress = ({ hostname, port }: Address): Address => {
    if (hostname === "10.0.0.9") throw new TypeError("no such address");
    return at(port + 10_000, `mapped-${hostname}`);
  };
  const naming = { isTls: true, mapAddress };
  const topology = read([
    [0, 99, ["10.0.0.1", 7001, "1", ["hostname", "n1"]], ["n4", 7004, "4", [
      "ip",
      "10.0.0.9",
    ]]],
    [100, 199, [null, 7002, "2", []]],
    [200, 299, [null, 0, "3", []]], // the one that was asked: its address is mapped already
    [300, 399, ["?", 7005, "5", ["ip", "10.0.0.5"]]],
  ], naming);
  assertEquals(rangesOf(topology), {
    "mapped-n1:17001": "0-99",
    "mapped-asked.example:17002": "100-199",
    "asked.example:7000": "200-299",
    "mapped-10.0.0.5:17005": "300-399",
  });
  assertEquals(topology.shards[0]!.replicas, [at(17004, "mapped-n4")]);
  assertEquals(
    topology.canonical(mapAddress(at(7001, "10.0.0.1"))),
    at(17001, "mapped-n1"),
  );
  assertEquals(topology.atPort(7005), at(17005, "mapped-10.0.0.5"));
});

Deno.test("Behind a host that hides the others, that host is dialed, whatever they are called", () => {
  const node = [null, 7001, "id", ["hostname", "n1.redis.example"]];
  const topology = read([[0, 5, node]], TLS, at(7000, "192.0.2.1"));
  assertEquals(holderOf(topology, 5), "192.0.2.1:7001");
});

Deno.test("An address at which a server is dialed is that of no other server", () => {
  const topology = read([
    [0, 5, ["10.0.0.1", 7001, "1", []]],
    [6, 9, ["h", 7001, "2", ["ip", "10.0.0.1"]]],
  ]);
  const address = at(7001, "10.0.0.1");
  assertStrictEquals(topology.canonical(address), address);
});

Deno.test("A server whose host the others do not know is found by its port, unless there are several", () => {
  const topology = read([
    [0, 99, ["?", 7001, "1", ["ip", "10.0.0.1"]], ["?", 7004, "4", [
      "ip",
      "10.0.0.4",
    ]]],
    [100, 199, ["?", 7002, "2", ["ip", "10.0.0.2"]]],
    [200, 299, ["?", 7002, "3", ["ip", "10.0.0.3"]]],
    [300, 399, ["h", 7005, "5", []]],
  ]);
  assertEquals(topology.atPort(7001), at(7001, "10.0.0.1"));
  assertEquals(topology.atPort(7004), at(7004, "10.0.0.4"));
  assertEquals(topology.atPort(7002), undefined);
  assertEquals(topology.atPort(7005), undefined);
});

Deno.test("A reply that is none to CLUSTER SLOTS gives no topology", () => {
  const node = ["h", 7001, "1", []];
  const REPLIES: readonly Reply[] = [
    null,
    5,
    "OK",
    new ReplyError("LOADING Redis is loading the dataset in memory"),
    new Uint8Array(5),
    ["a"],
    [[]],
    [[0]],
    [[0, 5, node], null],
    [["0", "5", node]],
    [[-1, 5, node]],
    [[0, 16384, node]],
    [[5, 4, node]],
    [[0.5, 5, node]],
    [[NaN, 5, node]],
    [[0, 5n, node]],
    [[0, Number.MAX_SAFE_INTEGER, node]],
    Array.from({ length: 16385 }, () => [0, 0, node]),
  ];
  for (const reply of REPLIES) {
    assertEquals(Topology.from(reply, ASKED, PLAIN), undefined);
  }
  assertEquals(read([]).covered, 0);
  assertEquals(read([]).shards, []);
  assertEquals(read([[0, 5]]).covered, 0);
});

Deno.test("A server without a cluster refuses the question, and holds all hash slots", () => {
  const topology = Topology.from(
    new ReplyError("ERR This instance has cluster support disabled"),
    at(6379),
    PLAIN,
  )!;
  assertEquals(topology.covered, 16384);
  assertEquals(rangesOf(topology), { "h:6379": "0-16383" });
  assertEquals(topology.canonical(at(6379)), at(6379));
});

Deno.test("In an empty topology a redirect is written, too", () => {
  const topology = Topology.empty();
  assertEquals([topology.covered, topology.patches], [0, 0]);
  assertEquals(holderOf(topology, 5), undefined);
  topology.moved(5, at(7001), ASKED);
  assertEquals([topology.covered, topology.patches], [1, 1]);
  assertEquals(holderOf(topology, 5), "h:7001");
  assertEquals(Topology.empty().covered, 0);
});

Deno.test("A redirect moves one hash slot, to a primary that is known or to one that is new", () => {
  const topology = threeByThree();
  assertStrictEquals(topology.moved(7, at(7002), at(7001)), topology);
  assertStrictEquals(topology.moved(8, at(7010), at(7001)), topology);
  assertStrictEquals(topology.moved(9, at(7010), at(7001)), topology);
  assertStrictEquals(topology.moved(9, at(7001), at(7010)), topology);
  assertEquals(rangesOf(topology), {
    "h:7001": "0-6,9-5460",
    "h:7002": "7,5461-10922",
    "h:7003": "10923-16383",
    "h:7010": "8",
  });
  assertEquals(topology.shards.map(({ hashSlots }) => hashSlots), [
    5459,
    5463,
    5461,
    1,
  ]);
  assertEquals(topology.covered, 16384);
  topology.moved(8, at(7001), at(7010));
  assert(!topology.isPrimary(at(7010)), "it holds nothing any more");
});

Deno.test("A redirect from a primary to its replica is a promotion: all of its hash slots go there", () => {
  const before = threeByThree();
  const after = before.moved(7, at(7004), at(7001));
  assert(after !== before);
  assertEquals(rangesOf(after), {
    "h:7004": "0-5460",
    "h:7002": "5461-10922",
    "h:7003": "10923-16383",
  });
  assert(after.isPrimary(at(7004)));
  assert(!after.isPrimary(at(7001)));
  assertEquals(after.shardOfReplica(at(7004)), undefined);
  // The one before is left as it was.
  assertEquals(rangesOf(before)["h:7001"], "0-5460");
  assertEquals(before.shards[0]!.primary, at(7001));
  after.moved(1, at(7002), at(7004));
  assertEquals(holderOf(before, 1), "h:7001");
  assertEquals(before.shards.map(({ hashSlots }) => hashSlots), [
    5461,
    5462,
    5461,
  ]);
  // What the old primary still answers is no news.
  assertStrictEquals(after.moved(8, at(7004), at(7001)), after);
  assertEquals(after.rangesOf(at(7004)), "0,2-5460");
});

Deno.test("A replica that redirects have given hash slots before is promoted all the same", () => {
  const before = threeByThree();
  before.moved(5461, at(7004), at(7002));
  const after = before.moved(7, at(7004), at(7001));
  assertEquals(rangesOf(after), {
    "h:7004": "0-5461",
    "h:7002": "5462-10922",
    "h:7003": "10923-16383",
  });
  assertEquals(after.covered, 16384);
});

Deno.test("It is no promotion if another server says so, or the replica is another's", () => {
  const topology = threeByThree();
  assertStrictEquals(topology.moved(1, at(7004), at(7002)), topology);
  assertEquals(rangesOf(topology)["h:7004"], "1");
  const other = threeByThree();
  assertStrictEquals(other.moved(1, at(7005), at(7001)), other);
  assertEquals(rangesOf(other), {
    "h:7001": "0,2-5460",
    "h:7002": "5461-10922",
    "h:7003": "10923-16383",
    "h:7005": "1",
  });
});

Deno.test("An answer does not overwrite what redirects have said since the question", () => {
  const topology = threeByThree();
  topology.moved(1, at(7002), at(7001)); // older than the question
  const { patches } = topology;
  topology.moved(2, at(7002), at(7001));
  topology.moved(3, at(7010), at(7001)); // a server that the answer lacks
  topology.moved(4, at(7002), at(7001));
  topology.moved(4, at(7001), at(7002));
  const answer = threeByThree();
  const merged = answer.patchedBy(topology, patches);
  assertStrictEquals(merged, answer);
  assertEquals(rangesOf(merged), {
    "h:7001": "0-1,4-5460",
    "h:7002": "2,5461-10922",
    "h:7003": "10923-16383",
    "h:7010": "3",
  });
  assertEquals(merged.patches, topology.patches);
  // The next question is newer than all of them.
  const next = threeByThree().patchedBy(merged, merged.patches);
  assertEquals(rangesOf(next), rangesOf(threeByThree()));
  // One that was asked before them is not, also after another answer.
  const late = threeByThree().patchedBy(merged, patches);
  assertEquals(rangesOf(late), rangesOf(merged));
});

Deno.test("An answer that is older than a promotion does not undo it", () => {
  const asked = threeByThree();
  const { patches } = asked;
  asked.moved(10923, at(7002), at(7003));
  const promoted = asked.moved(7, at(7004), at(7001));
  const merged = threeByThree().patchedBy(promoted, patches);
  assertEquals(merged.rangesOf(at(7004)), "0-5460");
  assertEquals(merged.rangesOf(at(7002)), "5461-10923");
  assert(!merged.isPrimary(at(7001)));
  // Where the answer says the same, it is taken as it is.
  const answer = read([
    [0, 5460, ["h", 7004, "4", []], ["h", 7001, "1", []]],
    [5461, 16383, ["h", 7002, "2", []]],
  ]).patchedBy(promoted, patches);
  assertEquals(answer.shards.map(({ primary }) => primary.port), [7004, 7002]);
  assertEquals(answer.shards[0]!.replicas, [at(7001)]);
  assertEquals(answer.rangesOf(at(7004)), "0-5460");
});

Deno.test("A hash slot that an answer after the redirect has left uncovered stays so", () => {
  const topology = threeByThree();
  const { patches } = topology;
  topology.moved(1, at(7002), at(7001));
  const empty = read([]).patchedBy(topology, topology.patches);
  const late = threeByThree().patchedBy(empty, patches);
  assertEquals(holderOf(late, 1), "h:7001");
});

Deno.test("Redirects to servers without end take bounded memory and keep every hash slot at its server", () => {
  let topology = threeByThree();
  let copies = 0;
  for (let i = 0; i < 70_000; i++) {
    const next = topology.moved(i % 3, at(1 + i % 60_000, `h${i}`), at(7001));
    if (next !== topology) copies++;
    topology = next;
  }
  assertEquals(copies, 2);
  assert(topology.shards.length < 32768, `${topology.shards.length}`);
  assertEquals(topology.covered, 16384);
  assertEquals(holderOf(topology, 0), "h69999:10000");
  assertEquals(topology.rangesOf(at(7001)), "3-5460");
  assertEquals(topology.patches, 70_000);
  assertEquals(topology.shards[topology.shardOf(5)]!.replicas, [at(7004)]);
});

Deno.test("The topology of a real node alone is all of it", async () => {
  await using server = await startRedis({
    config: { "cluster-enabled": "yes", "cluster-port": freePort() },
  });
  using node = await Conversation.open(server.port);
  assertEquals(read(await node.ask("CLUSTER", "SLOTS")).covered, 0);
  await node.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
  const asked = at(server.port, "127.0.0.1");
  const topology = read(await node.ask("CLUSTER", "SLOTS"), PLAIN, asked);
  assertEquals(topology.covered, 16384);
  assertEquals(rangesOf(topology), { [textOfAddress(asked)]: "0-16383" });
});
