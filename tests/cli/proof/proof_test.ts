// That the proof proves, on servers of every kind, and leaves nothing behind.

import "../../support/strict.ts";
import {
  assertEquals,
  assertFalse,
  assertGreater,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { Redis } from "../../../mod.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";
import { until } from "../../support/wait.ts";
import { command, PASSWORD, verify } from "../run_verify.ts";

async function assertNoTrace(server: RedisServer): Promise<void> {
  assertEquals(await server.cli("DBSIZE"), "0");
  const clients = await server.cli("CLIENT", "LIST");
  assertFalse(clients.includes("unzombie-verify"), clients);
}

/** Makes the user app with the password pw and these ACL rules. Returns its URL. */
async function urlOfUser(
  server: RedisServer,
  ...rules: string[]
): Promise<string> {
  await server.cli("ACL", "SETUSER", "app", "on", ">pw", ...rules);
  return `redis://app:pw@127.0.0.1:${server.port}`;
}

/** The command must exit with 2 at once, with one line that says what is refused and what to do. */
async function assertRefused(url: string, text: RegExp): Promise<void> {
  const startedAt = performance.now();
  const { code, stdout, stderr } = await verify(["--url", url]);
  assertMatch(stderr, text);
  assertEquals([code, stdout, stderr.split("\n").length], [2, "", 2]);
  assertLess(performance.now() - startedAt, 15_000);
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
    /CLUSTERDOWN [^;]+; this node of the cluster holds no hash slots that can be used, name a primary that holds some/,
  );
});

Deno.test("Verify runs its proof on one node of a cluster, with keys that the node holds", async () => {
  await using server = await startRedis({
    config: { "cluster-enabled": "yes", "cluster-require-full-coverage": "no" },
  });
  await using other = await startRedis({
    config: { "cluster-enabled": "yes" },
  });
  await server.cli("CLUSTER", "ADDSLOTSRANGE", 0, 2000);
  await other.cli("CLUSTER", "ADDSLOTSRANGE", 2001, 16383);
  await server.cli("CLUSTER", "MEET", "127.0.0.1", other.port);
  await until(async () =>
    /MOVED/.test(await server.cli("GET", "foo").catch(String)) // hash slot 12182
  );
  const { code, stderr, stdout } = await verify([
    ...["--url", server.url, "--json", "--requests", "1"],
  ]);
  assertEquals([code, stderr, JSON.parse(stdout).ok], [0, "", true]);
  await assertNoTrace(server);
});

Deno.test("Verify refuses the URL of a cluster and of Sentinels, and says which one to give", async () => {
  for (
    const [query, expected] of [
      ["cluster=true", "one of its nodes, without cluster and seeds"],
      ["sentinel=main&seeds=s2:26379", "the primary itself (SENTINEL GET"],
    ]
  ) {
    const { code, stdout, stderr } = await verify([
      ...["--url", `redis://:${encodeURIComponent(PASSWORD)}@h:7000?${query}`],
    ]);
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(
      stderr,
      `verify: Cannot use --url: the proof is made against one server; expected the URL of ${expected}`,
    );
  }
});

Deno.test("Verify says why events failed, and does not wait for them for ever", async () => {
  await using server = await startRedis();
  const args = ["--url", server.url, "--requests", "1"];
  const child = command(args, {}).spawn();
  const stderr = new Response(child.stderr).text();
  let isFull = false;
  let stdout = "";
  for await (
    const text of child.stdout.pipeThrough(new TextDecoderStream())
  ) {
    stdout += text;
    if (!isFull && /^Test 3/m.test(stdout)) {
      isFull = true;
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
