// Where a server is, and as whom: what a URL and options mean, what is refused, and what is never printed.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  Endpoint,
  type EndpointOptions,
} from "../../../pool/socket/endpoint.ts";

const PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

interface Parts {
  readonly hostname: string;
  readonly port: number;
  readonly path: string | undefined;
  readonly database: number;
  readonly clientName: string | undefined;
  readonly credentials: { username: string; password: string } | undefined;
  readonly tls: boolean;
  readonly printed: string;
}

const partsOf = (endpoint: Endpoint): Parts => ({
  hostname: endpoint.hostname,
  port: endpoint.port,
  path: endpoint.path,
  database: endpoint.database,
  clientName: endpoint.clientName,
  credentials: endpoint.credentials(),
  tls: endpoint.tls !== undefined,
  printed: `${endpoint}`,
});

const PLAIN: Parts = {
  hostname: "h",
  port: 6379,
  path: undefined,
  database: 0,
  clientName: undefined,
  credentials: undefined,
  tls: false,
  printed: "h:6379",
};

const as = (username: string, password: string) => ({
  credentials: { username, password },
});

const at = (path: string) => ({
  hostname: path,
  port: 0,
  path,
  printed: `unix://${path}`,
});

/** URLs, and what differs from `redis://h`. */
const URLS: readonly [string, Partial<Parts>][] = [
  ["redis://h", {}],
  ["redis://h/", {}],
  ["redis://h:6379", {}],
  ["REDIS://h", {}],
  ["redis://h:1", { port: 1, printed: "h:1" }],
  ["redis://h:65535", { port: 65535, printed: "h:65535" }],
  ["redis://127.0.0.1", { hostname: "127.0.0.1", printed: "127.0.0.1:6379" }],
  ["redis://a-b.example.com:7", {
    hostname: "a-b.example.com",
    port: 7,
    printed: "a-b.example.com:7",
  }],
  ["redis://[::1]", { hostname: "::1", printed: "[::1]:6379" }],
  ["redis://[2001:db8::2]:7/3", {
    hostname: "2001:db8::2",
    port: 7,
    database: 3,
    printed: "[2001:db8::2]:7",
  }],
  ["rediss://h", { tls: true }],
  ["rediss://h:6380/1", {
    tls: true,
    port: 6380,
    database: 1,
    printed: "h:6380",
  }],
  ["valkey://h", {}],
  ["valkeys://h:6380", { tls: true, port: 6380, printed: "h:6380" }],
  ["VALKEYS://:p@h", { ...as("default", "p"), tls: true }],
  ["unix:///run/redis.sock", at("/run/redis.sock")],
  ["unix:/run/redis.sock", at("/run/redis.sock")],
  ["redis+unix:///run/redis.sock", at("/run/redis.sock")],
  ["valkey+unix:///run/redis.sock", at("/run/redis.sock")],
  ["UNIX:///run/redis.sock", at("/run/redis.sock")],
  ["unix://localhost/run/redis.sock", at("/run/redis.sock")],
  ["unix:///a%20b/%ED%95%9C", at("/a b/한")],
  ["unix://u:p%40@/s?database=3&clientName=me", {
    ...at("/s"),
    ...as("u", "p@"),
    database: 3,
    clientName: "me",
  }],
  ["redis+unix://:p@/s", { ...at("/s"), ...as("default", "p") }],
  ["redis://app@h", as("app", "")],
  ["redis://app:@h", as("app", "")],
  ["redis://:@h", {}],
  ["redis://@h", {}],
  ["redis://:secret@h", as("default", "secret")],
  ["redis://app:secret@h", as("app", "secret")],
  ["redis://app:s%40f%2Fe%3A%25%23%3F@h", as("app", "s@f/e:%#?")],
  ["redis://a%40b:secret@h", as("a@b", "secret")],
  ["redis://:%ED%95%9C+%20@h", as("default", "한+ ")],
  ["redis://:a:b@h", as("default", "a:b")],
  ["redis://:pässwörd@h", as("default", "pässwörd")],
  ["redis://h/0", {}],
  ["redis://h/15", { database: 15 }],
  ["redis://h/007", { database: 7 }],
  ["redis://h?database=4", { database: 4 }],
  ["redis://h/2?database=4", { database: 4 }],
  ["redis://h?clientName=me", { clientName: "me" }],
  ["redis://u:p@h/5?clientName=a%3Ab", {
    ...as("u", "p"),
    database: 5,
    clientName: "a:b",
  }],
];

/** Options beside a URL, and what differs from `redis://h`. */
const OPTIONS: readonly [string, EndpointOptions, Partial<Parts>][] = [
  ["redis://h", { password: "secret" }, as("default", "secret")],
  ["redis://h", { username: "u", password: "p" }, as("u", "p")],
  ["redis://a:b@h", { username: "u", password: "p" }, as("u", "p")],
  ["redis://a:b@h", { password: "p" }, as("a", "p")],
  ["redis://a:b@h", { username: "u" }, as("u", "b")],
  ["redis://:b@h", { username: "u" }, as("u", "b")],
  ["redis://a@h", { password: "p" }, as("a", "p")],
  ["redis://h", { username: "u" }, as("u", "")],
  ["redis://h", { username: "", password: "" }, {}],
  ["redis://h", { username: undefined, password: undefined }, {}],
  ["redis://h", { username: "", password: "p" }, as("default", "p")],
  ["redis://a:b@h", { username: "", password: "" }, as("a", "b")],
  ["redis://a:b@h", { username: undefined, password: undefined }, as("a", "b")],
  ["unix:///s", { password: "p" }, { ...at("/s"), ...as("default", "p") }],
  ["redis://h", { password: "%41" }, as("default", "%41")],
  ["redis://h/5", { database: 2 }, { database: 2 }],
  ["redis://h/5?database=6", { database: 0 }, { database: 0 }],
  ["redis://h/5", {}, { database: 5 }],
  ["redis://h?clientName=a", { clientName: "b" }, { clientName: "b" }],
  ["rediss://h", { tls: {} }, { tls: true }],
];

Deno.test("Endpoint reads a URL", async (t) => {
  for (const [url, differs] of URLS) {
    await t.step(url, () => {
      const expected = { ...PLAIN, ...differs };
      assertEquals(partsOf(new Endpoint(url)), expected);
      // A URL object cannot hold a user for a socket.
      if (/unix:\/\/.*@/.test(url)) return;
      assertEquals(partsOf(new Endpoint(new URL(url))), expected);
    });
  }
});

Deno.test("Endpoint is the local server where nothing is said", () => {
  assertEquals(partsOf(new Endpoint()), {
    ...PLAIN,
    hostname: "127.0.0.1",
    printed: "127.0.0.1:6379",
  });
});

Deno.test("Endpoint prefers options to its URL", () => {
  for (const [url, options, differs] of OPTIONS) {
    assertEquals(
      partsOf(new Endpoint(url, options)),
      { ...PLAIN, ...differs },
      url,
    );
  }
});

Deno.test("Endpoint keeps the TLS options it was given", () => {
  const tls = { caCerts: [PEM], cert: "cert", key: "key", serverName: "s" };
  assertEquals(new Endpoint("rediss://h", { tls }).tls, tls);
  const named = {
    serverName: "other",
    unsafelyDisableHostnameVerification: true,
  };
  assertEquals(new Endpoint("rediss://h", { tls: named }).tls, named);
});

/** What cannot be used, and what the error must name. */
const REFUSED: readonly [unknown, unknown, string][] = [
  ["", {}, "url"],
  ["h:6379", {}, "url"],
  ["localhost", {}, "url"],
  [5, {}, "url"],
  [null, {}, "url"],
  [{}, {}, "url"],
  ["http://h", {}, "http:"],
  ["redis:h", {}, "no host"],
  ["redis:///1", {}, "no host"],
  ["unix://tmp/redis.sock", {}, "does not begin with /"],
  ["unix://h:1/redis.sock", {}, "does not begin with /"],
  ["unix://localhost:1/s", {}, "does not begin with /"],
  ["unix:///", {}, "names no socket"],
  ["unix:///run/", {}, "names no socket"],
  ["unix:///a%00b", {}, "names no socket"],
  ["unix:///a%zz", {}, "percent"],
  ["unix://", {}, "url"],
  ["unix:///s?db=1", {}, '"db"'],
  ["unix:///s?database=x", {}, "database"],
  ["unix:///s", { tls: {} }, "tls"],
  ["xunix:///s", {}, "xunix:"],
  ["valkey:///1", {}, "no host"],
  ["valkeyss://h", {}, "valkeyss:"],
  ["redis://:6379", {}, "url"],
  ["redis://h:0", {}, "port is 0"],
  ["redis://h:65536", {}, "url"],
  ["redis://h:x", {}, "url"],
  ["redis://[::1", {}, "url"],
  ["redis://h#1", {}, "fragment"],
  ["redis://:a#b@h", {}, "url"],
  ["redis://:%zz@h", {}, "percent"],
  ["redis://%zz:secret@h", {}, "percent"],
  ["redis://:%ff@h", {}, "percent"],
  ["redis://h/x", {}, "database"],
  ["redis://h/-1", {}, "database"],
  ["redis://h/1.5", {}, "database"],
  ["redis://h/1/2", {}, "database"],
  ["redis://h/1e3", {}, "database"],
  ["redis://h/99999999999999999999", {}, "database"],
  ["redis://h?database=", {}, "database"],
  ["redis://h?db=1", {}, '"db"'],
  ["redis://h?Database=1", {}, '"Database"'],
  ["redis://h?timeout=5", {}, '"timeout"'],
  ["redis://h?clientName=a%20b", {}, "clientName"],
  ["redis://h?clientName=", {}, "clientName"],
  ["redis://h", { database: -1 }, "database"],
  ["redis://h", { database: 1.5 }, "database"],
  ["redis://h", { database: NaN }, "database"],
  ["redis://h", { database: "x" }, "database"],
  ["redis://h", { database: true }, "database"],
  ["redis://h", { clientName: "a b" }, "clientName"],
  ["redis://h", { clientName: "" }, "clientName"],
  ["redis://h", { clientName: "a\nb" }, "clientName"],
  ["redis://h", { clientName: "한" }, "clientName"],
  ["redis://h", { tls: {} }, "tls"],
  ["rediss://h", { tls: null }, "tls of type object"],
  ["rediss://h", { tls: "ca" }, "tls of type string"],
  ["rediss://h", { tls: { ca: "c" } }, "tls.ca: expected caCerts, cert"],
  ["rediss://h", { tls: { cert: "c" } }, "tls.cert without tls.key"],
  ["rediss://h", { tls: { key: "k" } }, "tls.key without tls.cert"],
  ["rediss://h", { tls: { cert: 1, key: "k" } }, "tls.cert of type number"],
  ["rediss://h", { tls: { cert: "c", key: {} } }, "tls.key of type object"],
  ["rediss://h", { tls: { serverName: 1 } }, "tls.serverName of type number"],
  [
    "rediss://h",
    { tls: { unsafelyDisableHostnameVerification: "no" } },
    "tls.unsafelyDisableHostnameVerification of type string",
  ],
  ["rediss://h", { tls: { caCerts: PEM } }, "tls.caCerts: expected a list"],
  ["rediss://h", { tls: { caCerts: [42] } }, "tls.caCerts[0]: it is of type"],
  ["rediss://h", { tls: { caCerts: [""] } }, "tls.caCerts[0]: it is empty"],
  ["rediss://h", { tls: { caCerts: [PEM, " \n"] } }, "tls.caCerts[1]: it is e"],
  ["rediss://h", { tls: { caCerts: ["garbage"] } }, "[0]: it is not PEM"],
  ["rediss://h", { tls: { caCerts: ["/etc/ca.crt"] } }, "the path of a file"],
  ["rediss://h", { tls: { caCerts: ["ca.pem"] } }, "the path of a file"],
  ["rediss://h", { tls: { caCerts: ["C:\\ca"] } }, "the path of a file"],
  ["rediss://h", {
    tls: { caCerts: [PEM.replaceAll("\n", "\\n")] },
  }, "the two characters \\n"],
  ["rediss://h", { tls: { caCerts: [PEM.slice(0, 40)] } }, "it is cut"],
  ["rediss://h", {
    tls: { caCerts: [PEM.replaceAll("CERTIFICATE", "PRIVATE KEY")] },
  }, "it is not PEM"],
];

Deno.test("Endpoint refuses what it cannot use, and names it", async (t) => {
  for (const [url, options, names] of REFUSED) {
    await t.step(`${url} ${JSON.stringify(options)}`, () => {
      const { message } = assertThrows(
        () => new Endpoint(url as string, options as EndpointOptions),
        TypeError,
      );
      assertStringIncludes(message, "Cannot use ");
      assertStringIncludes(message, names);
    });
  }
});

Deno.test("Endpoint refuses a user, a password or a name that is no text", async (t) => {
  for (const name of ["username", "password", "clientName"]) {
    for (const value of [5, {}, true]) {
      await t.step(`${name} ${typeof value}`, () => {
        const options = { password: "p", [name]: value } as EndpointOptions;
        assertThrows(() => new Endpoint("redis://h", options), TypeError, name);
      });
    }
  }
});

const SECRET = "hunter2";

Deno.test("Endpoint never prints its password", () => {
  const endpoints = [
    new Endpoint(`rediss://app:${SECRET}@h/2?clientName=me`),
    new Endpoint(new URL(`redis://:${SECRET}@h`)),
    new Endpoint("redis://h", { password: SECRET }),
    new Endpoint("rediss://h", { tls: { cert: "cert", key: SECRET } }),
  ];
  for (const endpoint of endpoints) {
    const prints = [
      `${endpoint}`,
      endpoint.toString(),
      JSON.stringify(endpoint),
      JSON.stringify({ endpoint }),
      Deno.inspect(endpoint),
      Deno.inspect({ endpoint }, { depth: 10, showHidden: true }),
      Deno.inspect([new Error("x", { cause: endpoint })]),
    ];
    for (const print of prints) {
      assert(!print.includes(SECRET), print);
      assertStringIncludes(print, "h:6379");
    }
  }
});

Deno.test("Endpoint never tells a password in an error", async (t) => {
  const wrong: [string, EndpointOptions?][] = [
    [`app:${SECRET}@h`],
    [`:${SECRET}@h:6379`],
    [`http://app:${SECRET}@h`],
    [`redis:app:${SECRET}@h`],
    [`redis://app:${SECRET}@`],
    [`redis://app:${SECRET}@h:0`],
    [`redis://app:${SECRET}@h:99999`],
    [`redis://app:${SECRET}@h/x`],
    [`redis://app:${SECRET}@h?x=1`],
    [`redis://app:${SECRET}@h#x`],
    [`redis://app:${SECRET}%zz@h`],
    [`redis://app:${SECRET}@h?clientName=a%20b`],
    // A password that is not percent-encoded ends up in other parts of the URL.
    [`redis://app:1/${SECRET}@h`],
    [`redis://app:1?${SECRET}@h`],
    [`redis://app:1?database=${SECRET}@h`],
    [`redis://app:1#${SECRET}@h`],
    [`redis://app:/${SECRET}@h`],
    ["redis://h", { password: SECRET, database: -1 }],
    ["redis://h", { password: SECRET, clientName: "a b" }],
    ["redis://h", { password: SECRET, tls: {} }],
    ["rediss://h", { tls: { key: SECRET } }],
  ];
  for (const [url, options] of wrong) {
    await t.step(`${url} ${JSON.stringify(options ?? {})}`, () => {
      const error = assertThrows(() => new Endpoint(url, options), TypeError);
      for (const print of [error.message, error.stack, Deno.inspect(error)]) {
        assert(!print?.includes(SECRET), print);
      }
    });
  }
});

Deno.test("What is no URL at all is refused by its type", () => {
  for (const url of [6379, null, { maxConnections: 1 }]) {
    assertThrows(
      () => new Endpoint(url as unknown as string),
      TypeError,
      `Cannot use url of type ${typeof url}: expected redis://`,
    );
  }
});
