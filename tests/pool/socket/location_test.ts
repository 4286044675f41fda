// What a URL and options say of a cluster or of Sentinels: which addresses are asked, as whom, and what is refused.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { Redis, type RedisOptions } from "../../../mod.ts";
import {
  Endpoint,
  type EndpointOptions,
} from "../../../pool/socket/endpoint.ts";

const PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
const SECRET = "hunter2";

/** What an endpoint says of it: `cluster`, `sentinel=name`, and where to ask. */
function summaryOf(url: string, options: EndpointOptions = {}): string {
  const { cluster, sentinel, seeds } = new Endpoint(url, options);
  return [
    ...(cluster ? ["cluster"] : []),
    ...(sentinel === undefined ? [] : [`sentinel=${sentinel}`]),
    ...seeds.map(({ hostname, port }) => `${hostname} ${port}`),
  ].join(", ");
}

Deno.test("A URL and options say which addresses are asked for the servers", () => {
  const said: readonly [string, EndpointOptions, string][] = [
    ["redis://h", {}, ""],
    ["redis://h?cluster=false", {}, ""],
    ["redis://h", { cluster: false }, ""],
    ["redis://h?cluster=true", { cluster: false }, ""],
    ["redis://h", { cluster: undefined, sentinel: undefined }, ""],
    ["redis://h?cluster=true", {}, "cluster, h 6379"],
    ["redis://h:7000", { cluster: true }, "cluster, h 7000"],
    ["redis://h:7000", { cluster: {} }, "cluster, h 7000"],
    ["redis://h:7000?cluster=false", { cluster: {} }, "cluster, h 7000"],
    [
      "rediss://u:p@h/1?cluster=true&seeds=a:1,b,[::2]:3,[::4]&clientName=me",
      {},
      "cluster, h 6379, a 1, b 6379, ::2 3, ::4 6379",
    ],
    [
      "redis://h?cluster=true&seeds=a:1&seeds=b:2",
      { cluster: { seeds: ["c", "a:1", "h:6379"] } },
      "cluster, h 6379, a 1, b 2, c 6379",
    ],
    ["redis://h?seeds=a:1", { cluster: true }, "cluster, h 6379, a 1"],
    ["redis://[::1]?cluster=true", {}, "cluster, ::1 6379"],
    ["redis://h?sentinel=my%20primary", {}, "sentinel=my primary, h 26379"],
    [
      "redis://h:1?sentinel=a&seeds=b,[::2]",
      {},
      "sentinel=a, h 1, b 26379, ::2 26379",
    ],
    [
      "redis://h?sentinel=a",
      { sentinel: { name: "b", seeds: ["c", "d:5"] } },
      "sentinel=b, h 26379, c 26379, d 5",
    ],
    [
      "redis://h?sentinel=a",
      { sentinel: { password: "p" } },
      "sentinel=a, h 26379",
    ],
    ["redis://h", { sentinel: { name: "a" } }, "sentinel=a, h 26379"],
  ];
  for (const [url, options, expected] of said) {
    assertEquals(summaryOf(url, options), expected, url);
  }
});

/** What cannot be used, and what the error must say. */
const REFUSED: readonly [string, unknown, string][] = [
  ["redis://h?cluster=yes", {}, "true nor false: expected cluster=true"],
  ["redis://h?cluster=", {}, "url: its parameter cluster is neither true nor"],
  ["redis://h?cluster", {}, "true nor false: expected cluster=true"],
  ["redis://h?Cluster=true", {}, 'unknown parameter "Cluster" in its query'],
  ["redis://h?sentinel=", {}, "url: its parameter sentinel is empty"],
  ["redis://h?cluster=true&sentinel=a", {}, "cluster and sentinel together"],
  ["redis://h?sentinel=a", { cluster: true }, "cluster and sentinel together"],
  [
    "redis://h?cluster=true",
    { sentinel: { name: "a" } },
    "cluster and sentinel together",
  ],
  ["redis://h?seeds=a:1", {}, "parameter seeds is of no use without cluster"],
  [
    "redis://h?seeds=a:1&cluster=true",
    { cluster: false },
    "parameter seeds is of no use without cluster",
  ],
  [
    "redis://h?cluster=true&seeds=a:1,b:0",
    {},
    "url: address 2 of its parameter seeds is no address, expected host:port, with [brackets] around IPv6",
  ],
  ["redis://h?cluster=true&seeds=", {}, "url: address 1 of its parameter"],
  ["redis://h?cluster=true&seeds=a,,b", {}, "url: address 2 of its parameter"],
  ["redis://h?cluster=true&seeds=::1", {}, "url: address 1 of its parameter"],
  ["unix:///s?cluster=true", {}, "cluster with a Unix socket: expected redis:"],
  ["unix:///s?sentinel=a", {}, "sentinel with a Unix socket: expected redis:"],
  ["unix:///s", { cluster: {} }, "cluster with a Unix socket"],
  ["redis://h", { cluster: 1 }, "cluster of type number: expected true, or an"],
  ["redis://h", { cluster: "true" }, "cluster of type string: expected true"],
  ["redis://h", { cluster: null }, "cluster of type null: expected true, or"],
  ["redis://h", { cluster: ["a"] }, "cluster of type array: expected true, or"],
  [
    "redis://h",
    { cluster: { seed: [] } },
    "cluster.seed: expected seeds, mapAddress",
  ],
  [
    "redis://h",
    { cluster: { name: "a" } },
    "cluster.name: expected seeds, map",
  ],
  ["redis://h", { cluster: { seeds: "a:1" } }, "cluster.seeds of type string"],
  [
    "redis://h",
    { cluster: { seeds: ["a", "b:x"] } },
    "cluster.seeds[1]: it is no address, expected host:port, with [brackets]",
  ],
  ["redis://h", { cluster: { seeds: [7000] } }, "cluster.seeds[0]: it is no"],
  ["redis://h", { cluster: { seeds: Array(1) } }, "cluster.seeds[0]: it is no"],
  [
    "redis://h",
    { cluster: { mapAddress: {} } },
    "cluster.mapAddress of type object: expected a function",
  ],
  [
    "redis://h",
    { sentinel: true },
    "sentinel of type boolean: expected an obj",
  ],
  [
    "redis://h",
    { sentinel: "a" },
    "sentinel of type string: expected an object",
  ],
  ["redis://h", { sentinel: {} }, "sentinel without a name: expected sentinel"],
  ["redis://h", { sentinel: { name: "" } }, "sentinel without a name"],
  ["redis://h", { sentinel: { name: 1 } }, "sentinel.name of type number"],
  [
    "redis://h",
    { sentinel: { name: "a", username: 1 } },
    "sentinel.username of type number: expected a string",
  ],
  [
    "redis://h",
    { sentinel: { name: "a", password: {} } },
    "sentinel.password of type object: expected a string",
  ],
  [
    "redis://h",
    { sentinel: { name: "a", nodes: [] } },
    "sentinel.nodes: expected seeds, mapAddress, name, username, password, tls",
  ],
  [
    "redis://h",
    { sentinel: { name: "a", seeds: [":1"] } },
    "sentinel.seeds[0]: it is no address",
  ],
  [
    "redis://h",
    { sentinel: { name: "a", tls: { ca: PEM } } },
    "sentinel.tls.ca: expected caCerts",
  ],
  [
    "redis://h",
    { sentinel: { name: "a", tls: { key: PEM } } },
    "sentinel.tls.key without sentinel.tls.cert",
  ],
];

Deno.test("What cannot be used of a cluster or of Sentinels is refused, and named", () => {
  for (const [url, options, words] of REFUSED) {
    for (const Class of [Endpoint, Redis]) {
      const { message } = assertThrows(
        () => new Class(url, options as RedisOptions),
        TypeError,
      );
      assertStringIncludes(message, "Cannot use ");
      assertStringIncludes(message, words);
    }
  }
});

Deno.test("No error repeats what may be a password, and no text of an endpoint that of its Sentinels", () => {
  const wrong: readonly [string, EndpointOptions?][] = [
    [`redis://:p?cluster=${SECRET}@h`],
    [`redis://:p?sentinel=${SECRET}&cluster=true@h`],
    [`redis://:p?seeds=${SECRET}@h`],
    [`redis://:${SECRET}@h?cluster=x`],
    [`redis://h?cluster=true&seeds=redis://:${SECRET}@h2`],
    ["redis://h", { cluster: { seeds: [`redis://:${SECRET}@h2`] } }],
    ["redis://h", { sentinel: { name: "", password: SECRET } }],
    ["redis://h", { sentinel: { name: "a", tls: { key: SECRET } } }],
  ];
  for (const [url, options] of wrong) {
    const error = assertThrows(() => new Endpoint(url, options), TypeError);
    for (const print of [error.message, error.stack, Deno.inspect(error)]) {
      assert(!print?.includes(SECRET), print);
    }
  }
  const endpoint = new Endpoint(`redis://:${SECRET}@h?sentinel=a`, {
    sentinel: { password: SECRET },
  });
  for (
    const print of [
      `${endpoint}`,
      JSON.stringify(endpoint),
      Deno.inspect({ endpoint }, { depth: 10, showHidden: true }),
    ]
  ) assert(!print.includes(SECRET), print);
});

Deno.test("A server at another address is reached as the same user, over the same TLS", () => {
  const tls = { caCerts: [PEM], serverName: "all.test" };
  const cluster = new Endpoint(
    "rediss://u:p%40@h:7000/2?cluster=true&seeds=a:1&clientName=me",
    { tls },
  );
  const node = cluster.at("::0001", 7001);
  assertEquals(`${node}`, "[::1]:7001");
  assertEquals(
    [node.hostname, node.port, node.database, node.clientName],
    ["::1", 7001, 2, "me"],
  );
  assertEquals(node.credentials(), { username: "u", password: "p@" });
  assertEquals(node.tls, tls);
  // It is one server: there is no more to ask for.
  assertEquals([node.cluster, node.sentinel, node.seeds], [
    false,
    undefined,
    [],
  ]);
  assertEquals(`${node.at("n3", 7003)}`, "n3:7003");
  assertEquals(node.withDatabase(5).database, 5);
  assertEquals(`${node.withDatabase(5)}`, "[::1]:7001");

  for (
    const [url, credentials] of [
      ["redis://h", undefined],
      ["redis://u@h", { username: "u", password: "" }],
      ["redis://:p@h", { username: "default", password: "p" }],
      ["redis://u:%25%41@h", { username: "u", password: "%A" }],
    ] as const
  ) {
    const other = new Endpoint(url).at("n2", 6379);
    assertEquals(other.credentials(), credentials);
    assertEquals([other.tls, other.clientName], [undefined, undefined]);
  }
  const byOptions = new Endpoint("redis://h", {
    username: "u",
    password: "p",
    database: 3,
    clientName: "me",
  }).at("n", 1);
  assertEquals(byOptions.credentials(), { username: "u", password: "p" });
  assertEquals([byOptions.database, byOptions.clientName], [3, "me"]);
});

Deno.test("A server cannot be given an address that is none, nor one that is more", () => {
  const endpoint = new Endpoint(`redis://:${SECRET}@h?cluster=true`);
  for (
    const [hostname, port] of [
      ["", 1],
      ["?", 1],
      ["h", 0],
      ["h", 65536],
      ["h", 1.5],
      ["h", NaN],
      ["h/1", 1],
      ["u@h", 1],
      ["h?cluster=true", 1],
      ["h#", 1],
      ["a b", 1],
      [":", 1],
      ["1:2:3", 1],
      ["h:1", 1],
    ] as const
  ) {
    const { message } = assertThrows(
      () => endpoint.at(hostname, port),
      TypeError,
      `Cannot use ${JSON.stringify(hostname)} with port ${port}: expected`,
    );
    assert(!message.includes(SECRET), message);
  }
});

Deno.test("An address that a server names is mapped to where it is reached", () => {
  const asked: string[] = [];
  const mapAddress = (address: string) => {
    asked.push(address);
    return address === "10.0.0.1:7000" ? "proxy.test:1" : "[::2]:2";
  };
  for (
    const options of [{ cluster: { mapAddress } }, {
      sentinel: { name: "a", mapAddress },
    }]
  ) {
    const endpoint = new Endpoint("redis://h", options);
    assertEquals(
      endpoint.mapAddress({ hostname: "10.0.0.1", port: 7000 }),
      { hostname: "proxy.test", port: 1 },
    );
    assertEquals(
      endpoint.mapAddress({ hostname: "::1", port: 7001 }),
      { hostname: "::2", port: 2 },
    );
  }
  assertEquals(asked.slice(0, 2), ["10.0.0.1:7000", "[::1]:7001"]);
  const same = { hostname: "10.0.0.1", port: 7000 };
  assertEquals(
    new Endpoint("redis://h?cluster=true").mapAddress(same),
    same,
  );
});

Deno.test("What mapAddress returns must be an address", () => {
  const mapping = (mapAddress: unknown) =>
    new Endpoint("redis://h", {
      cluster: { mapAddress: mapAddress as (address: string) => string },
    });
  const address = { hostname: "n1", port: 7000 };
  for (
    const [result, words] of [
      ["proxy", 'for n1:7000 it returned "proxy", expected host:port'],
      ["::1:1", 'for n1:7000 it returned "::1:1", expected host:port, with [b'],
      [
        undefined,
        "for n1:7000 it returned a value of type undefined, expected",
      ],
      [{ port: 1 }, "for n1:7000 it returned a value of type object, expected"],
    ] as const
  ) {
    assertThrows(
      () => mapping(() => result).mapAddress(address),
      TypeError,
      `Cannot use mapAddress: ${words}`,
    );
  }
  const cause = new Error("no such node");
  const error = assertThrows(
    () =>
      mapping(() => {
        throw cause;
      }).mapAddress(address),
    TypeError,
    "Cannot use mapAddress: it threw for n1:7000",
  );
  assertEquals(error.cause, cause);
});
