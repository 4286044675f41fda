// That the command-line proof proves, on servers of every kind, and leaves no trace.

import "./support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { Redis } from "../mod.ts";
import { importFlags } from "./support/imports.ts";
import { type RedisServer, startRedis } from "./support/redis_server.ts";

const VERIFY = new URL("../verify.ts", import.meta.url).href;
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

Deno.test("Verify over TLS needs the network and the CA file only, and touches nothing of others", async () => {
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
  await server.cli(
    ...["ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-set"],
  );
  const url = `redis://app:pw@127.0.0.1:${server.port}`;
  const { code, stdout } = await verify(["--url", url, "--requests", "1"]);
  assertStringIncludes(stdout, "ReplyError: NOPERM");
  assertStringIncludes(stdout, "Not proved: requests failed with retry, too.");
  assertEquals(code, 1);
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
      'Cannot use --requests "0": accepted is a whole number from 1 to 1000',
    ],
    [["--requests", "5.5"], "Cannot use --requests"],
    [
      ["--method", "magic"],
      'Cannot use --method "magic": accepted are auto, kill, shutdown',
    ],
    [["--url"], "Cannot use --url: it needs a value"],
    [["--url", `http://:${PASSWORD}@127.0.0.1`], "Cannot use --url"],
    [["--url", url, "--ca", "/nowhere"], "Cannot use --ca: "],
    [["--ca", "/nowhere"], "Cannot use --ca: it is for a rediss:// URL"],
    [[url], "Cannot use argument 1: not an option, accepted are watch, --url"],
    [[`--uri=${url}`], "Cannot use --uri: not an option, accepted are watch"],
    [["--json=yes"], "Cannot use --json: it takes no value"],
    [["--url", url], "Cannot connect to 127.0.0.1:1: connection refused"],
  ];
  await Promise.all(cases.map(async ([args, text]) => {
    const { code, stdout, stderr } = await verify(args);
    assert(stderr.startsWith(`verify: ${text}`), stderr);
    assertEquals([code, stdout, stderr.split("\n").length], [2, "", 2]);
  }));
});

Deno.test("Verify says in one line that there is no server", async () => {
  const { code, stdout, stderr } = await verify([], {
    env: { PATH: "/nowhere" },
  });
  assertMatch(stderr, /^verify: Cannot start a Redis server: .*--url\n$/);
  assertEquals([code, stdout], [2, ""]);
});

Deno.test("Verify prints its options", async () => {
  const { code, stdout, stderr } = await verify(["--help"], {
    permissions: [],
  });
  for (const option of ["--url", "--requests", "--method", "--ca", "--json"]) {
    assertStringIncludes(stdout, `  ${option} `);
  }
  assertStringIncludes(stdout, "verify watch [options]");
  assertEquals([code, stderr], [0, ""]);
});
