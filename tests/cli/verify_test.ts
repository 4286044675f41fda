// That the command-line proof proves, on servers of every kind, and leaves no trace.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { Redis } from "../../mod.ts";
import { importFlags } from "../support/imports.ts";
import { type RedisServer, startRedis } from "../support/redis_server.ts";

const VERIFY = new URL("../../cli/verify.ts", import.meta.url).href;
const PASSWORD = "s3:cr/et@";

interface Options {
  readonly permissions?: readonly string[];
  readonly env?: Record<string, string>;
}

function command(args: readonly string[], options: Options): Deno.Command {
  const { permissions = ["--allow-all"], env = {} } = options;
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      ...permissions,
      ...importFlags,
      VERIFY,
      ...args,
    ],
    env: { REDIS_URL: "", NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function verify(args: readonly string[], options: Options = {}) {
  const output = await command(args, options).output();
  const [stdout, stderr] = [output.stdout, output.stderr]
    .map((bytes) => new TextDecoder().decode(bytes)) as [string, string];
  for (const secret of [PASSWORD, encodeURIComponent(PASSWORD)]) {
    assertFalse(`${stdout}${stderr}`.includes(secret), "prints the password");
  }
  return { code: output.code, stdout, stderr };
}

async function assertNoTrace(server: RedisServer): Promise<void> {
  assertEquals(await server.cli("DBSIZE"), "0");
  const clients = await server.cli("CLIENT", "LIST");
  assertFalse(clients.includes("unzombie-verify"), clients);
}

Deno.test("Verify starts a server of its own and shows the errors and the cure", async () => {
  const { code, stdout, stderr } = await verify([]);
  assertEquals(stderr, "");
  const failed = stdout.match(
    /^ +\d {2}failed {2}ConnectionClosedError: Connection closed by server: /gm,
  );
  assertEquals(failed?.length, 5, stdout);
  const causes = stdout.match(
    /^ +why: +Connection 1 to \S+ was likely ended by CLIENT KILL: cmdstat_client\|kill calls \d -> \d, /gm,
  );
  assertEquals([causes?.length, new Set(causes).size], [5, 5], stdout);
  assertStringIncludes(stdout, "  5 of 5 requests failed\n");
  assertStringIncludes(stdout, "  0 of 5 requests failed\n");
  assertEquals(stdout.match(/^ +\d {2}ok .*1 replay/gm)?.length, 5, stdout);
  assertStringIncludes(stdout, "  1,000 of 1,000 events in the sorted sets\n");
  assertStringIncludes(stdout, "new Redis(Deno.env.get(");
  assertEquals(code, 0);
});

Deno.test("Verify over TLS needs the network and the CA file only, and touches only its own keys", async () => {
  await using server = await startRedis({ tls: true, password: PASSWORD });
  await using bystander = new Redis(server.url);
  await bystander.send(["SET", "theirs", 1]);
  const ca = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(ca, server.caCert);
    const { code, stdout, stderr } = await verify(
      ["--url", server.tlsUrl, "--ca", ca, "--json", "--requests", "2"],
      { permissions: [`--allow-net=127.0.0.1`, `--allow-read=${ca}`] },
    );
    assertEquals(stderr, "");
    const proof = JSON.parse(stdout);
    assertEquals(proof.ok, true, stdout);
    assertEquals(proof.environment.tls, true);
    assertEquals(proof.environment.endpoint, `127.0.0.1:${server.tlsPort}`);
    assertEquals(proof.method, { name: "kill", reason: null });
    assertEquals(proof.withoutRetry.failed, 2);
    for (const { error } of proof.withoutRetry.requests) {
      assertMatch(error.message, /^Connection closed by server: /);
    }
    for (
      const { verdict } of [
        ...proof.withoutRetry.requests,
        ...proof.withRetry.requests,
      ]
    ) {
      assertEquals(
        [verdict.cause, verdict.confidence],
        ["client-kill", "likely"],
        verdict.text,
      );
    }
    assertEquals(proof.withRetry.failed, 0);
    assertEquals(proof.events.stored, 1000);
    assertGreater(proof.events.connectionsKilled, 3);
    assertGreater(proof.events.replays, 3);
    assertEquals(code, 0);
  } finally {
    await Deno.remove(ca);
  }
  assertEquals(await bystander.send(["GETDEL", "theirs"]), "1");
  assertEquals(bystander.stats().dialed, 1);
  await assertNoTrace(server);
});

Deno.test("Verify shuts sockets down where the server refuses CLIENT", async () => {
  await using server = await startRedis();
  await server.cli(
    ...["ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-client"],
  );
  const url = `redis://app:pw@127.0.0.1:${server.port}`;

  const { code, stdout } = await verify(["--json"], {
    env: { REDIS_URL: url },
  });
  const proof = JSON.parse(stdout);
  assertEquals(proof.ok, true, stdout);
  assertEquals(proof.environment.origin, "REDIS_URL");
  assertEquals(proof.method.name, "shutdown");
  assertMatch(proof.method.reason, /^the server refuses CLIENT: NOPERM/);
  assertEquals(proof.withoutRetry.failed, 5);
  for (const { verdict } of proof.withoutRetry.requests) {
    assertEquals([verdict.cause, verdict.confidence], [null, "none"]);
    assertMatch(verdict.text, /^Cannot tell why .*CLIENT LIST \(refused\)/);
  }
  assertEquals(code, 0);

  const killing = await verify(["--url", url, "--method", "kill"]);
  assertMatch(killing.stderr, /^verify: Cannot use --method kill: .*shutdown/);
  assertEquals([killing.code, killing.stdout], [2, ""]);
  await assertNoTrace(server);
});

Deno.test("Verify shuts TLS sockets down on demand", async () => {
  await using server = await startRedis({ tls: true });
  const ca = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(ca, server.caCert);
    const { code, stdout } = await verify(
      ["--url", server.tlsUrl, `--ca=${ca}`, "--method=shutdown"],
    );
    assertMatch(stdout, /^ +Zombies by +shutdown of the socket, [^(]*$/m);
    assertStringIncludes(stdout, "  5 of 5 requests failed\n");
    assertStringIncludes(stdout, "  0 of 5 requests failed\n");
    assertEquals(code, 0, stdout);
  } finally {
    await Deno.remove(ca);
  }
  await assertNoTrace(server);
});

Deno.test("Verify exits with 1 where the retry does not cure the errors", async () => {
  await using server = await startRedis();
  const user = ["ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all"];
  await server.cli(...user);
  const url = `redis://app:pw@127.0.0.1:${server.port}`;
  const child = command(["--url", url, "--requests", "40"], {}).spawn();
  const stderr = new Response(child.stderr).text();
  let stdout = "";
  for await (
    const text of child.stdout.pipeThrough(new TextDecoderStream())
  ) {
    stdout += text;
    if (/^ +40 +failed/m.test(stdout)) await server.cli(...user, "-set");
  }
  assertMatch(stdout, /^ +\d+ +failed +\w+Error: .*NOPERM/m);
  assertMatch(stdout, /^Not proved: requests failed with retry, too\.$/m);
  assertStringIncludes(stdout, "  40 of 40 requests failed\n");
  assertEquals((await child.status).code, 1);
  assertEquals(await stderr, "");
  await assertNoTrace(server);
});

Deno.test("Verify cleans up when it is interrupted", async () => {
  await using server = await startRedis();
  const child = command(["--url", server.url], {}).spawn();
  const [stdout, stderr] = [child.stdout, child.stderr]
    .map((stream) => new Response(stream).text());
  // One key a request, ten sets while events are recorded.
  while (Number(await server.cli("DBSIZE")) < 10) await delay(5);
  child.kill("SIGINT");
  assertEquals((await child.status).code, 130);
  assertEquals(await stderr, "verify: interrupted\n");
  assertStringIncludes(await stdout ?? "", "Test 3");
  await assertNoTrace(server);
});

Deno.test("Verify names the argument that it cannot use, and never a password", async () => {
  const url = `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:1`;
  const cases: [args: string[], text: string][] = [
    [
      ["--requests", "0"],
      'Cannot use --requests "0": expected a whole number from 1 to 1000',
    ],
    [["--requests", "5.5"], "Cannot use --requests"],
    [
      ["--method", "magic"],
      'Cannot use --method "magic": expected one of auto, kill, shutdown',
    ],
    [["--url"], "Cannot use --url: it needs a value"],
    [["--url", "--json"], "Cannot use --url: it needs a value"],
    [["--url="], "Cannot use --url: it needs a value"],
    [
      ["--requests=1", "--requests=2"],
      "Cannot use --requests: it is given twice",
    ],
    [
      ["--requests", "1001"],
      'Cannot use --requests "1001": expected a whole',
    ],
    [["--requests", "1e2"], 'Cannot use --requests "1e2": expected a whole'],
    [["-x"], "Cannot use -x: not an option, expected watch, --url"],
    [["help"], "Cannot use argument 1: not an option, expected watch"],
    [["--url", `http://:${PASSWORD}@127.0.0.1`], "Cannot use --url"],
    [["--url", url, "--ca", "/nowhere"], "Cannot use --ca: "],
    [["--ca", "/nowhere"], "Cannot use --ca: it is for a rediss:// URL"],
    [[url], "Cannot use argument 1: not an option, expected watch, --url"],
    [[`--uri=${url}`], "Cannot use --uri: not an option, expected watch"],
    [["--json=yes"], "Cannot use --json: it takes no value"],
    [["--url", url], "Cannot connect to 127.0.0.1:1: connection refused"],
  ];
  await Promise.all(cases.map(async ([args, text]) => {
    const { code, stdout, stderr } = await verify(args);
    assert(stderr.startsWith(`verify: ${text}`), stderr);
    assertEquals([code, stdout, stderr.split("\n").length], [2, "", 2]);
  }));
});

Deno.test("Verify says in one line that there is no server program", async () => {
  const { code, stdout, stderr } = await verify([], {
    env: { PATH: "/nowhere", REDIS_SERVER: "" },
  });
  assertMatch(stderr, /^verify: Cannot start a Redis server: .*--url\n$/);
  assertEquals([code, stdout], [2, ""]);
});

Deno.test("Verify prints its options", async () => {
  const { code, stdout, stderr } = await verify(["--help"], {
    permissions: [],
  });
  const options = [
    ...["--url", "--requests", "--method", "--ca", "--cert", "--key"],
    ...["--server-name", "--json"],
  ];
  for (const option of options) assertStringIncludes(stdout, `  ${option} `);
  assertEquals(stdout.split("\n").find((line) => line.length > 80), undefined);
  assertEquals((await verify(["-h"], { permissions: [] })).stdout, stdout);
  assertStringIncludes(stdout, "verify watch --url URL [options]");
  assertEquals([code, stderr], [0, ""]);
});

/** A user of the name app and the password pw, with these rules. */
async function urlOfUser(
  server: RedisServer,
  ...rules: string[]
): Promise<string> {
  await server.cli("ACL", "SETUSER", "app", "on", ">pw", ...rules);
  return `redis://app:pw@127.0.0.1:${server.port}`;
}

/** It must say in one line what is refused and what to do, at once, and exit with 2. */
async function assertRefused(url: string, text: RegExp): Promise<void> {
  const startedAt = performance.now();
  const { code, stdout, stderr } = await verify(["--url", url]);
  assertMatch(stderr, text);
  assertEquals([code, stdout, stderr.split("\n").length], [2, "", 2]);
  assertLess(performance.now() - startedAt, 15_000);
}

Deno.test("Verify says what an ACL refuses, and what to grant", async () => {
  await using server = await startRedis();
  await assertRefused(
    await urlOfUser(server, "~*", "+@all", "-@write"),
    /^verify: Cannot run the proof on 127\.0\.0\.1:\d+: the server refuses SET, DEL, ZADD, EXPIRE, ZREMRANGEBYSCORE: .*NOPERM.*; grant the user ~unzombie_verify_\* \+ping \+set \+get \+del \+zadd \+expire \+zremrangebyscore \+zcard \(ACL SETUSER\)/,
  );
  await assertRefused(
    await urlOfUser(server, "+@all", "resetkeys", "~theirs:*"),
    /the server refuses SET, .*NOPERM.*; grant the user ~unzombie_verify_\*/,
  );
  await assertRefused(
    await urlOfUser(server, "+@all", "~*", "-zcard"),
    /the server refuses ZCARD: .*NOPERM.*; grant the user/,
  );
  await assertNoTrace(server);
});

Deno.test("Verify needs no other ACL rules than its help says", async () => {
  const { stdout: help } = await verify(["--help"], { permissions: [] });
  const [, rules] = /An ACL user needs\n([^]*?)\nand, to kill .*, (.*)\./.exec(
    help,
  )!.slice(0, 2);
  const [, more] = /and, to kill .*?, (\+.*)\.\n/.exec(help)!;
  await using server = await startRedis();
  const url = await urlOfUser(
    server,
    ..."resetkeys -@all".split(" "),
    ...`${rules} ${more}`.trim().split(/\s+/),
  );
  const { code, stdout, stderr } = await verify(["--url", url, "--json"]);
  const proof = JSON.parse(stdout);
  assertEquals(proof.method, { name: "kill", reason: null });
  for (const { verdict } of proof.withoutRetry.requests) {
    assertEquals(verdict.cause, "client-kill", verdict.text);
  }
  assertEquals([code, stderr, proof.ok], [0, "", true]);

  const bare = await urlOfUser(server, "-@all", ...rules!.trim().split(/\s+/));
  const other = await verify(["--url", bare, "--json", "--requests", "1"]);
  assertEquals(JSON.parse(other.stdout).method.name, "shutdown");
  assertEquals([other.code, other.stderr], [0, ""]);
});

Deno.test("Verify says of a replica which server is its primary", async () => {
  await using primary = await startRedis();
  await using replica = await startRedis({
    config: { replicaof: `127.0.0.1 ${primary.port}` },
  });
  await assertRefused(
    replica.url,
    new RegExp(
      `the server refuses SET, .*READONLY .*; this is a replica, name its primary \\(127\\.0\\.0\\.1:${primary.port}\\)`,
    ),
  );
  await assertNoTrace(primary);
});

Deno.test("Verify says that a server is out of memory", async () => {
  await using server = await startRedis({ config: { maxmemory: 1 } });
  await assertRefused(
    server.url,
    /the server refuses SET, ZADD: .*OOM .*; raise its maxmemory/,
  );
});

Deno.test("Verify says once that a server has no room for a client", async () => {
  await using server = await startRedis({ config: { maxclients: 1 } });
  const { hostname, port } = new URL(server.url);
  using _only = await Deno.connect({ hostname, port: Number(port) });
  const { code, stderr } = await verify(["--url", server.url]);
  assertEquals(code, 2);
  assertEquals(stderr.split("as its maxclients allows").length, 2, stderr);
});

Deno.test("Verify says that a server is a node of a cluster", async () => {
  await using server = await startRedis({
    config: { "cluster-enabled": "yes", "cluster-require-full-coverage": "no" },
  });
  await assertRefused(
    server.url,
    /CLUSTERDOWN .*a node of a cluster.*; it does not hold all of the keys.*, name a server that is not part of a cluster/,
  );
});

Deno.test("Verify says why events failed, and does not wait for them for ever", async () => {
  await using server = await startRedis();
  const args = ["--url", server.url, "--requests", "1"];
  const child = command(args, {}).spawn();
  const stderr = new Response(child.stderr).text();
  let stdout = "";
  for await (
    const text of child.stdout.pipeThrough(new TextDecoderStream())
  ) {
    stdout += text;
    if (/^Test 3/m.test(text)) {
      await server.cli("CONFIG", "SET", "maxmemory", 1);
    }
  }
  assertMatch(
    stdout,
    /^Not proved: [\d,]+ events could not be delivered: .*OOM/m,
  );
  const outcomes = ["recorded at once", "queued, sent later", "dropped"].map(
    (what) =>
      Number(
        new RegExp(`^ +${what} +([\\d,]+)$`, "m").exec(stdout)![1]!
          .replace(",", ""),
      ),
  );
  assertEquals(outcomes.reduce((sum, n) => sum + n), 1000, stdout);
  assertLess(outcomes[0]!, 1000);
  assertEquals([(await child.status).code, await stderr], [1, ""]);
});

/** Files of their own, by name. */
async function written(
  texts: Readonly<Record<string, string>>,
): Promise<{ path(name: string): string } & AsyncDisposable> {
  const directory = await Deno.makeTempDir();
  const path = (name: string) => `${directory}/${name}`;
  for (const [name, text] of Object.entries(texts)) {
    await Deno.writeTextFile(path(name), text);
  }
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

Deno.test("Verify shows the certificate of --cert and --key", async () => {
  await using server = await startRedis({ tls: { clientCertificate: true } });
  const { cert, key } = server.clientCertificate;
  await using files = await written({ ca: server.caCert, cert, key });
  const args = ["--url", server.tlsUrl, "--ca", files.path("ca"), "--json"];
  const without = await verify(args);
  assertEquals([without.code, without.stdout], [2, ""]);
  assertMatch(without.stderr, /^verify: Cannot connect to .*\n$/);
  const { code, stderr } = await verify([
    ...args,
    ...["--cert", files.path("cert"), "--key", files.path("key")],
    ...["--requests", "1"],
  ]);
  assertEquals([code, stderr], [0, ""]);
});

Deno.test("Verify expects the name of --server-name in the certificate of the server", async () => {
  await using server = await startRedis({ tls: { certificate: "wrong_host" } });
  await using files = await written({ ca: server.caCert });
  const args = ["--url", server.tlsUrl, "--ca", files.path("ca"), "--json"];
  const without = await verify(args);
  assertEquals([without.code, without.stdout], [2, ""]);
  const { code, stderr } = await verify(
    [...args, "--server-name", "elsewhere.test", "--requests", "1"],
  );
  assertEquals([code, stderr], [0, ""]);
});

Deno.test("Verify names the file that it cannot use, and what is wrong with it", async () => {
  const begin = (what: string) => `-----BEGIN ${what}-----\nAAAA\n`;
  await using files = await written({
    words: "no certificate\n",
    cert: begin("CERTIFICATE"),
    key: begin("PRIVATE KEY"),
    secret: begin("ENCRYPTED PRIVATE KEY"),
    old: begin("RSA PRIVATE KEY") + "Proc-Type: 4,ENCRYPTED\n",
  });
  const words = files.path("words");
  const cert = files.path("cert");
  const key = files.path("key");
  const secret = files.path("secret");
  const old = files.path("old");
  const directory = files.path("");
  const url = ["--url", "rediss://127.0.0.1:1"];
  const cases: [args: string[], text: string, permissions?: string[]][] = [
    [
      ["--ca", words],
      `--ca ${words}: it holds no certificate, expected PEM`,
    ],
    [["--ca", key], `--ca ${key}: it holds no certificate`],
    [["--ca", directory], `--ca ${directory}: it is a directory`],
    [["--ca", "/nowhere"], "--ca /nowhere: there is no such file"],
    [["--cert", key, "--key", key], `--cert ${key}: it holds no certificate`],
    [["--cert", cert, "--key", cert], `--key ${cert}: it holds no key`],
    [
      ["--cert", cert, "--key", secret],
      `--key ${secret}: the key is encrypted`,
    ],
    [["--cert", cert, "--key", old], `--key ${old}: the key is encrypted`],
    [["--cert", cert], "--cert: it needs --key, too"],
    [["--key", key], "--key: it needs --cert, too"],
    [
      ["--ca", cert],
      `--ca ${cert}: reading it is not allowed, run with --allow-read=${cert}`,
      ["--allow-net=127.0.0.1"],
    ],
  ];
  for (const command of [[], ["watch"]]) {
    await Promise.all(cases.map(async ([args, text, permissions]) => {
      const { code, stdout, stderr } = await verify(
        [...command, ...url, ...args],
        permissions === undefined ? {} : { permissions },
      );
      assert(stderr.startsWith(`verify: Cannot use ${text}`), stderr);
      assertEquals([code, stdout, stderr.split("\n").length], [2, "", 2]);
    }));
  }
});

Deno.test("Verify without a server and without permissions says what to allow, or to name a server", async () => {
  for (const permissions of [[], ["--allow-net"], ["--allow-env=REDIS_URL"]]) {
    const { code, stdout, stderr } = await verify([], { permissions });
    assertMatch(
      stderr,
      /^verify: Cannot start a server: Requires (env|run|net) access to "[^"]+"; name a server with --url and --allow-net, or grant the permissions to start one: --allow-net=127\.0\.0\.1 .*--allow-run=sh,redis-server .*\n$/,
    );
    assertEquals([code, stdout], [2, ""]);
  }
});

Deno.test("Verify starts a server with the permissions that its help names", async () => {
  const { stdout: help } = await verify(["--help"], { permissions: [] });
  const [, named] = /to start a server([^]*?)\(or/.exec(help)!;
  const { code, stderr } = await verify(["--requests", "1"], {
    permissions: named!.trim().split(/\s+/),
    env: { TMPDIR: "/tmp" },
  });
  assertEquals([code, stderr], [0, ""]);
});
