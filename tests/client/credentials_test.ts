// That a client goes on while its credentials change, and says what is wrong where they cannot be had.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type CloseReport,
  type Credentials,
  type CredentialsFunction,
  DialError,
  fateOf,
  Redis,
  type RedisOptions,
  RetryError,
  WebhookRecorder,
} from "../../mod.ts";
import { SLICE } from "../../client/blocking.ts";
import { LEAST_SESSION } from "../../pool/socket/changing_credentials.ts";
import { patient } from "../support/policies.ts";
import { startCluster } from "../support/redis_cluster.ts";
import { startSentinels } from "../support/redis_sentinels.ts";
import { type RedisServer, startRedis } from "../support/redis_server.ts";
import { helloOf, ScriptedServer } from "../support/scripted_server.ts";
import { until } from "../support/wait.ts";

const inAnHour = (): Date => new Date(Date.now() + 3_600_000);

/** A user whose password is replaced on all servers, as a secret manager does. */
class Vault {
  readonly servers: readonly RedisServer[];
  password = "first-secret";
  asked = 0;
  /** How long an answer serves, in milliseconds. */
  lifeMs = 3_600_000;

  constructor(servers: readonly RedisServer[]) {
    this.servers = servers;
  }

  /** The user has the first password; without one there is no access. */
  async prepare(): Promise<void> {
    await this.#run(
      "ACL",
      "SETUSER",
      "app",
      "on",
      `>${this.password}`,
      "+@all",
      "~*",
      "&*",
    );
  }

  /** The new password is added, given out, and the old one removed; with `kills` connections of the user end. */
  async rotate(n: number, { kills = false } = {}): Promise<void> {
    const old = this.password;
    const password = `secret-number-${n}`;
    await this.#run("ACL", "SETUSER", "app", `>${password}`);
    this.password = password;
    await this.#run("ACL", "SETUSER", "app", `<${old}`);
    if (kills) await this.#run("CLIENT", "KILL", "USER", "app");
  }

  readonly credentials: CredentialsFunction = async () => {
    this.asked++;
    const { password } = this;
    await delay(2);
    return { username: "app", password, expiresAt: Date.now() + this.lifeMs };
  };

  async #run(...command: string[]): Promise<void> {
    await Promise.all(this.servers.map((server) => server.cli(...command)));
  }
}

/** Rotates until it is stopped. */
function rotating(vault: Vault, kills: boolean): () => Promise<number> {
  let isOver = false;
  let rotations = 0;
  const done = (async () => {
    while (!isOver) {
      await vault.rotate(rotations++, { kills });
      await delay(100);
    }
    return rotations;
  })();
  return () => {
    isOver = true;
    return done;
  };
}

Deno.test("While passwords are rotated nothing fails, nothing runs twice and no event is missing", async () => {
  await using server = await startRedis();
  const vault = new Vault([server]);
  await vault.prepare();
  // Connections are replaced all the time as well, by their age.
  await using redis = new Redis(server.url, {
    credentials: vault.credentials,
    retry: patient(),
    maxAgeMs: 300,
  });
  const stop = rotating(vault, false);
  const startedAt = performance.now();
  let sent = 0;
  await Promise.all(Array.from({ length: 16 }, async () => {
    while (performance.now() - startedAt < 2500) {
      await redis.send(["INCR", "n"]);
      sent++;
      await delay(3);
    }
  }));
  assertGreater(await stop(), 3);
  assertEquals(Number(await redis.send(["GET", "n"])), sent);
  assertGreater(redis.stats().evicted["max-age"] ?? 0, 0);
});

for (const kind of ["one server", "a cluster"] as const) {
  Deno.test(`While passwords are rotated and connections killed on ${kind} each event counts once, and INCR runs as its fate says`, async () => {
    await using resources = new AsyncDisposableStack();
    let servers: readonly RedisServer[];
    let url: string;
    if (kind === "one server") {
      const server = resources.use(await startRedis());
      servers = [server];
      url = server.url;
    } else {
      const cluster = resources.use(
        await startCluster({ primaries: 3, replicasPerPrimary: 0 }),
      );
      servers = cluster.nodes.map(({ server }) => server);
      url = cluster.url;
    }
    const vault = new Vault(servers);
    await vault.prepare();
    await using redis = new Redis(url, {
      credentials: vault.credentials,
      retry: patient(), // a busy machine may take longer for a dial than it is from kill to kill
    });
    await using recorder = new WebhookRecorder(redis);
    await redis.send(["PING"]);
    const stop = rotating(vault, true);
    const statuses: Record<string, number> = {};
    const incr = { ran: 0, unknown: 0, unsent: 0 };
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: 12 }, async (_, i) => {
      while (performance.now() - startedAt < 2500) {
        const event = { mallId: `m${i}`, shopNo: 1, eventType: "e" };
        const { status } = await recorder.record(event);
        statuses[status] = (statuses[status] ?? 0) + 1;
        try {
          await redis.send(["INCR", `n${i}`]);
          incr.ran++;
        } catch (error) {
          incr[fateOf(error) as "unknown" | "unsent"]++;
        }
        await delay(2);
      }
    }));
    assertGreater(await stop(), 3);
    await recorder.flush();
    const cards = await redis.pipeline(
      Array.from(
        { length: 12 },
        (_, i) => ["ZCARD", `webhook_frequency_m${i}_1_e`] as const,
      ),
    );
    const counters = await redis.pipeline(
      Array.from({ length: 12 }, (_, i) => ["GET", `n${i}`] as const),
    );
    const sum = (numbers: readonly unknown[]) =>
      numbers.reduce<number>((sum, n) => sum + Number(n), 0);
    const { recorded = 0, ...others } = statuses;
    assertEquals(others, {});
    assertGreaterOrEqual(recorded, 12);
    assertEquals(sum(cards), recorded);
    assertEquals(incr.unsent, 0);
    assertGreaterOrEqual(sum(counters), incr.ran);
    assertLessOrEqual(sum(counters), incr.ran + incr.unknown);
  });
}

Deno.test("Connections are replaced before their credentials end, while calls go on; a lease is when it is released", async () => {
  await using server = await startRedis();
  const vault = new Vault([server]);
  await vault.prepare();
  vault.lifeMs = 1200;
  const { ms } = LEAST_SESSION;
  LEAST_SESSION.ms = 500;
  const reports: CloseReport[] = [];
  try {
    await using redis = new Redis(server.url, {
      credentials: vault.credentials,
      maxConnections: 2,
      onClose: (report) => reports.push(report),
    });
    const lease = await redis.lease();
    const id = await lease.send(["CLIENT", "ID"]);
    let sent = 0;
    const giveUpAt = performance.now() + 15_000;
    while (redis.stats().evicted.credentials === undefined) {
      assertLess(performance.now(), giveUpAt);
      await redis.send(["INCR", "n"]);
      sent++;
      await delay(5);
    }
    assertEquals(Number(await redis.send(["GET", "n"])), sent);
    assertEquals(await lease.send(["CLIENT", "ID"]), id);
    assertEquals(reports.map(({ cause }) => cause), ["credentials"]);
    lease.release();
    await until(() => redis.stats().evicted.credentials! >= 2);
    assertEquals(redis.stats().retries, 0);
    assert(reports.every(({ by }) => by === "client"));
  } finally {
    LEAST_SESSION.ms = ms;
  }
});

Deno.test("A command that blocks for long goes on by another connection before its login ends", async () => {
  await using server = await startRedis();
  const vault = new Vault([server]);
  await vault.prepare();
  vault.lifeMs = 600;
  const before = [LEAST_SESSION.ms, SLICE.ms] as const;
  LEAST_SESSION.ms = 300;
  SLICE.ms = 100;
  const reports: CloseReport[] = [];
  try {
    await using redis = new Redis(server.url, {
      credentials: vault.credentials,
      retry: false,
      onClose: (report) => reports.push(report),
    });
    const popped = redis.send(["BLPOP", "list", 0]);
    await until(() => reports.length >= 2);
    await server.cli("RPUSH", "list", "a");
    assertEquals(await popped, ["list", "a"]);
    assert(reports.every(({ cause }) => cause === "credentials"));
    assertEquals(redis.stats().open, 1);
  } finally {
    [LEAST_SESSION.ms, SLICE.ms] = before;
  }
});

Deno.test("With Sentinels the function is asked for the primary, and its password is not sent to them", async () => {
  await using set = await startSentinels({
    password: "of-the-primary",
    sentinelPassword: "of-the-sentinels",
  });
  const url = new URL(set.url);
  url.password = "";
  const options = (password: string): RedisOptions => ({
    ...set.clientOptions,
    retry: false,
    credentials: () => ({ password, expiresAt: inAnHour() }),
  });
  await using redis = new Redis(url, options("of-the-primary"));
  assertEquals(await redis.send(["PING"]), "PONG");
  await using wrong = new Redis(url, options("of-the-sentinels"));
  await assertRejects(() => wrong.send(["PING"]), DialError, "WRONGPASS");
});

Deno.test("The login is the first command of a connection, whatever the greeting", async () => {
  for (const knowsHello of [true, false]) {
    await using server = new ScriptedServer(([name]) =>
      name !== "HELLO"
        ? "+OK\r\n"
        : knowsHello
        ? helloOf({ version: "9.0.0", role: "master" })
        : "-ERR unknown command 'HELLO'\r\n"
    );
    await using redis = new Redis(`${server.url}/2`, {
      clientName: "app",
      credentials: () => ({ username: "ann", password: "of-ann" }),
    });
    await redis.send(["ECHO", "OK"]);
    const [commands] = server.heard;
    assertEquals(commands![0], "HELLO 2 AUTH ann of-ann SETNAME app");
    if (!knowsHello) {
      assertEquals(
        commands!.filter((text) => !/^SELECT/.test(text))[1],
        "AUTH ann of-ann",
      );
    }
  }
});

Deno.test("A refused login is tried once with other credentials, in the same dial", async () => {
  await using server = await startRedis({ password: "right" });
  const given = ["wrong", "right"];
  let asked = 0;
  await using redis = new Redis(server.url.replace(":right@", ""), {
    retry: false,
    credentials: () => ({
      password: given[asked++] ?? "right",
      expiresAt: inAnHour(),
    }),
  });
  assertEquals(await redis.send(["PING"]), "PONG");
  assertEquals([asked, redis.stats().dialFailures], [2, 0]);
});

Deno.test("Credentials that are refused again fail with both facts, may be tried again, and no text has them", async () => {
  await using server = await startRedis({ password: "right" });
  const url = `redis://127.0.0.1:${server.port}`;
  const secrets = ["wrong-for-ever", "wrong-as-well"];
  const functions: [CredentialsFunction, RegExp][] = [
    [
      () => ({ password: secrets[0]! }),
      /WRONGPASS.*; the function of credentials gives no others$/,
    ],
    [
      (() => {
        let n = 0;
        return () => ({ password: secrets[n++ % 2]! });
      })(),
      /WRONGPASS.*; these are the ones that the function/,
    ],
    [
      (() => {
        let n = 0;
        return (): Credentials => {
          if (n++ === 0) return { password: secrets[0]! };
          throw new Error(`sealed: ${secrets[0]}`);
        };
      })(),
      /WRONGPASS.*; no other credentials: sealed: \*\*\*$/,
    ],
  ];
  for (const [credentials, text] of functions) {
    const reports: CloseReport[] = [];
    await using redis = new Redis(url, {
      retry: false,
      credentials,
      onClose: (report) => reports.push(report),
    });
    const error = await assertRejects(() => redis.send(["PING"]), DialError);
    assert(text.test(error.message), error.message);
    assert(error.isRetriable);
    assertEquals(fateOf(error), "unsent");
    delete error.cause; // of the function's own error the text is its own
    for (const secret of secrets) {
      for (const thing of [error, redis, redis.stats(), reports]) {
        assertFalse(Deno.inspect(thing, { depth: 9 }).includes(secret));
      }
    }
  }
});

Deno.test("A server that repeats the login shows nothing of it, in any error", async () => {
  await using server = new ScriptedServer((command) =>
    `-WRONGPASS for ${command.join(" ")}\r\n`
  );
  const password = "token/with+signs==and-more";
  await using redis = new Redis(server.url, {
    retry: false,
    credentials: () => ({ password, expiresAt: inAnHour() }),
  });
  const error = await assertRejects(() => redis.send(["PING"]), DialError);
  assertFalse(Deno.inspect(error, { depth: 9 }).includes(password.slice(0, 6)));

  await using later = new ScriptedServer(([name]) =>
    name === "HELLO"
      ? helloOf({ version: "7.0.0", role: "master" })
      : `+OK\r\n-ERR bye, ${password}\r\n`
  );
  const reports: CloseReport[] = [];
  await using other = new Redis(later.url, {
    retry: false,
    credentials: () => ({ password, expiresAt: inAnHour() }),
    onClose: (report) => reports.push(report),
  });
  assertEquals(await other.send(["ECHO", "OK"]), "OK");
  await until(() => reports.length > 0);
  assertStringIncludes(reports[0]!.cause!, "bye, ***");
  assertFalse(Deno.inspect(reports).includes(password.slice(0, 6)));
});

Deno.test("A function that does not answer ends with the connect timeout, and close() ends it at once", async () => {
  await using server = await startRedis();
  const signals: AbortSignal[] = [];
  let isFrozen = true;
  const credentials: CredentialsFunction = ({ signal }) => {
    signals.push(signal);
    return isFrozen ? new Promise(() => {}) : { password: "" };
  };
  const url = server.url;
  {
    await using redis = new Redis(url, {
      credentials,
      connectTimeoutMs: 150,
      retry: false,
    });
    const error = await assertRejects(() => redis.send(["PING"]), DialError);
    assertStringIncludes(
      error.message,
      "no credentials within 150 ms: their function has not answered",
    );
    assert(signals[0]!.aborted);
    isFrozen = false;
    assertEquals(await redis.send(["PING"]), "PONG");
  }
  isFrozen = true;
  const redis = new Redis(url, { credentials });
  const call = redis.send(["PING"]).catch((error) => error);
  await until(() => signals.length === 3);
  const startedAt = performance.now();
  await redis.close({ drainMs: 0 });
  assertLess(performance.now() - startedAt, 1000);
  assertInstanceOf(await call, Error);
  assert(signals.at(-1)!.aborted);
});

Deno.test("A function that throws, or gives rubbish, is asked again by the retry", async () => {
  await using server = await startRedis();
  let asked = 0;
  await using redis = new Redis(server.url, {
    credentials: () => {
      if (++asked < 3) throw new Error("the vault is sealed");
      return { password: "" };
    },
  });
  assertEquals(await redis.send(["PING"]), "PONG");
  assertEquals(asked, 3);

  await using sealed = new Redis(server.url, {
    credentials: () => Promise.reject(new Error("the vault is sealed")),
  });
  const error = await assertRejects(() => sealed.send(["PING"]), RetryError);
  assertInstanceOf(error.cause, DialError);
  assertStringIncludes(
    error.cause.message,
    "no credentials: the vault is sealed",
  );

  let given = 0;
  await using rubbish = new Redis(server.url, {
    credentials: () =>
      given++ === 0 ? "a secret" as unknown as Credentials : { password: "" },
  });
  assertEquals(await rubbish.send(["PING"]), "PONG");
  const refused = rubbish.stats().lastDialError;
  assertInstanceOf(refused, DialError);
  assertStringIncludes(
    refused.message,
    "no credentials: credentials() gave a value of type string, expected {",
  );
  assertFalse(Deno.inspect(refused).includes("a secret"));
});

Deno.test("Credentials together with a user or a password are refused, and so is what is no function", () => {
  const credentials = () => ({ password: "p" });
  const table: [string, RedisOptions][] = [
    ["redis://user@h", { credentials }],
    ["redis://:s3cret@h", { credentials }],
    ["redis://h", { credentials, password: "s3cret" }],
    ["redis://h", { credentials, username: "user" }],
  ];
  for (const [url, options] of table) {
    const error = assertThrows(
      () => new Redis(url, options),
      TypeError,
      "Cannot use credentials together with username, password or those of the URL: expected one of them",
    );
    assertFalse(error.message.includes("s3cret"));
  }
  assertThrows(
    () => new Redis("redis://h", { credentials: {} as CredentialsFunction }),
    TypeError,
    "Cannot use credentials of type object: expected a function",
  );
});
