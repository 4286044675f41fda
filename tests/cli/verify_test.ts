// The arguments, files and permissions of the command line.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { startRedis } from "../support/redis_server.ts";
import { PASSWORD, verify, verifyEach } from "./run_verify.ts";

/** Files in a temporary directory, by name. */
async function tempFiles(
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
    [["-x"], "Cannot use -x: not an option, expected watch, report, --url"],
    [["help"], "Cannot use argument 1: not an option, expected watch"],
    [["--url", `http://:${PASSWORD}@127.0.0.1`], "Cannot use --url"],
    [["--url", url, "--ca", "/nowhere"], "Cannot use --ca: "],
    [["--ca", "/nowhere"], "Cannot use --ca: it is for a rediss:// URL"],
    [
      [url],
      "Cannot use argument 1: not an option, expected watch, report, --url",
    ],
    [[`--uri=${url}`], "Cannot use --uri: not an option, expected watch"],
    [["--json=yes"], "Cannot use --json: it takes no value"],
    [["--url", url], "Cannot connect to 127.0.0.1:1: connection refused"],
  ];
  await assertRefused(cases);
});

/** Each ends with 2 and one line, which begins so. */
async function assertRefused(
  cases: readonly (readonly [args: readonly string[], text: string])[],
): Promise<void> {
  const outcomes = await verifyEach(cases.map(([args]) => args));
  for (const [i, { code, stdout, stderr }] of outcomes.entries()) {
    assert(stderr.startsWith(`verify: ${cases[i]![1]}`), stderr);
    assertEquals([code, stdout, stderr.split("\n").length], [2, "", 2]);
  }
}

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

Deno.test("Verify shows the certificate of --cert and --key", async () => {
  await using server = await startRedis({ tls: { clientCertificate: true } });
  const { cert, key } = server.clientCertificate;
  await using files = await tempFiles({ ca: server.caCert, cert, key });
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
  await using files = await tempFiles({ ca: server.caCert });
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
  await using files = await tempFiles({
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
  const cases: [args: string[], text: string][] = [
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
  ];
  for (const command of [[], ["watch"]]) {
    await assertRefused(cases.map(([args, text]) => [
      [...command, ...url, ...args],
      `Cannot use ${text}`,
    ]));
    const { code, stdout, stderr } = await verify(
      [...command, ...url, "--ca", cert],
      { permissions: ["--allow-net=127.0.0.1"] },
    );
    assertEquals(
      [code, stdout, stderr],
      [
        2,
        "",
        `verify: Cannot use --ca ${cert}: reading it is not allowed, run with --allow-read=${cert}\n`,
      ],
    );
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
