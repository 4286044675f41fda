// That a client of Sentinels goes to the primary that they name, and leaves it when they name another one.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { KEPT } from "../../../client/servers/sentinel.ts";
import {
  ClosedError,
  ConnectionClosedError,
  DialError,
  ExponentialBackoff,
  fateOf,
  Redis,
  type RedisOptions,
  Retry,
  RetryError,
} from "../../../mod.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";
import { runProgram } from "../../support/run_program.ts";
import { later, until } from "../../support/wait.ts";
import { SentinelDouble } from "./sentinel_double.ts";

const urlOf = (
  sentinels: readonly SentinelDouble[],
  userInfo = "",
): string => {
  const [first, ...others] = sentinels.map(({ address }) => address);
  return `redis://${userInfo}${first}?sentinel=mymaster${
    others.length > 0 ? `&seeds=${others.join(",")}` : ""
  }`;
};

const at = ({ port }: { port: number }): string => `127.0.0.1:${port}`;

/** Rides out a failover. */
const PATIENT = new Retry({
  backoff: new ExponentialBackoff({ baseMs: 20, capMs: 100 }),
  retries: 200,
  deadlineMs: 20_000,
});

/** One Sentinel that names one of two servers; a test at a time may use it. */
class Deployment implements AsyncDisposable {
  readonly sentinel: SentinelDouble;
  readonly one: RedisServer;
  readonly two: RedisServer;
  readonly #clients: Redis[] = [];

  private constructor(one: RedisServer, two: RedisServer) {
    this.one = one;
    this.two = two;
    this.sentinel = new SentinelDouble({ primary: at(one), epoch: 1 });
  }

  static async start(): Promise<Deployment> {
    const servers = await Promise.all([startRedis(), startRedis()]);
    return new Deployment(...servers);
  }

  client(options: RedisOptions = {}): Redis {
    const redis = new Redis(urlOf([this.sentinel]), options);
    this.#clients.push(redis);
    return redis;
  }

  /** The Sentinel names the other server from now on. */
  failOver(): void {
    const { says } = this.sentinel;
    says.primary = at(this.two);
    says.epoch = 2;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const redis of this.#clients) await redis.close({ drainMs: 0 });
    await this.sentinel[Symbol.asyncDispose]();
    for (const server of [this.one, this.two]) {
      if (server.running) server.thaw();
      await server[Symbol.asyncDispose]();
    }
  }
}

function testWithDeployment(
  name: string,
  fn: (deployment: Deployment) => Promise<void>,
): void {
  Deno.test(name, async () => {
    await using deployment = await Deployment.start();
    await fn(deployment);
  });
}

/** Shortens how long an idle connection to a Sentinel is kept. */
function keptFor(ms: number): Disposable {
  const before = KEPT.ms;
  KEPT.ms = ms;
  return {
    [Symbol.dispose]: () => {
      KEPT.ms = before;
    },
  };
}

/** Sends without a pause until the function returned is called. */
function keepSending(redis: Redis, key = "load"): () => Promise<number> {
  let isOver = false;
  let sent = 0;
  const sending = (async () => {
    while (!isOver) {
      await redis.send(["SET", key, ++sent]).catch(() => {});
      await delay(2);
    }
  })();
  return async () => {
    isOver = true;
    await sending;
    return sent;
  };
}

testWithDeployment(
  "A client goes to the primary that a Sentinel names",
  async (deployment) => {
    const { sentinel, one } = deployment;
    const redis = deployment.client();
    await Promise.all([1, 2, 3].map((n) => redis.send(["SADD", "set", n])));
    assertEquals(await one.cli("SCARD", "set"), "3");
    assertEquals([sentinel.accepted, sentinel.asked], [1, 1]);
    assertEquals(Object.keys(redis.stats().servers), [at(one)]);
  },
);

Deno.test("User, password and database of the URL are those of the primary", async () => {
  await using server = await startRedis({ password: "s3cret" });
  await using sentinel = new SentinelDouble({ primary: at(server) });
  await using redis = new Redis(
    urlOf([sentinel], ":s3cret@").replace("?", "/2?"),
  );
  await redis.send(["SET", "key", "value"]);
  assertStringIncludes(await server.cli("INFO", "keyspace"), "db2:keys=1");
  assertFalse(sentinel.heard.flat().join().includes("s3cret"));
});

Deno.test("A call that no Sentinel helps to find its server is rejected with what each has said", async () => {
  await using sentinel = new SentinelDouble({ primary: undefined });
  await using redis = new Redis(urlOf([sentinel]), {
    retry: new Retry({ retries: 1 }),
  });
  const error = await assertRejects(() => redis.send(["PING"]), RetryError);
  assertInstanceOf(error.cause, DialError);
  assertEquals(
    error.cause.message,
    "Cannot connect to the primary mymaster: 1 Sentinel asked: " +
      `${sentinel.address} has no primary of the name mymaster`,
  );
  assertEquals(fateOf(error), "unsent");
});

Deno.test("A Sentinel that asks for a password is not asked again", async () => {
  await using sentinel = new SentinelDouble({
    primary: "127.0.0.1:1",
    instead: () => "-NOAUTH Authentication required.\r\n",
  });
  await using redis = new Redis(urlOf([sentinel]));
  const error = await assertRejects(() => redis.send(["PING"]), DialError);
  assertStringIncludes(error.message, "give it in sentinel.password");
  assertEquals(sentinel.accepted, 1);
});

testWithDeployment(
  "While calls are open a Sentinel is asked four times a second; without calls it is not",
  async (deployment) => {
    const { sentinel } = deployment;
    const redis = deployment.client();
    const blocked = later(redis.send(["BLPOP", "nothing", 3]));
    await until(() => sentinel.asked === 1);
    await delay(2000);
    const asked = sentinel.asked;
    assert(asked >= 6 && asked <= 10, `${asked} questions in two seconds`);
    await blocked;
    await delay(300);
    const before = sentinel.asked;
    await delay(1000);
    assertEquals(sentinel.asked, before);
    assertEquals(sentinel.accepted, 1);
  },
);

testWithDeployment(
  "The connection to a Sentinel is closed when it has been idle for long",
  async (deployment) => {
    using _kept = keptFor(300);
    const { sentinel } = deployment;
    const redis = deployment.client();
    await redis.send(["PING"]);
    await delay(1000);
    await redis.send(["PING"]);
    await until(() => sentinel.asked === 2);
    assertEquals(sentinel.accepted, 2);
  },
);

testWithDeployment(
  "A server that was replaced is left within a second, although it goes on answering",
  async (deployment) => {
    const { one, two } = deployment;
    const redis = deployment.client();
    const stop = keepSending(redis);
    await until(async () => Number(await one.cli("GET", "load")) > 20);
    deployment.failOver();
    const startedAt = performance.now();
    await until(async () => await two.cli("EXISTS", "load") === "1");
    assertLess(performance.now() - startedAt, 1000);
    const last = await one.cli("GET", "load");
    const sent = await stop();
    assertEquals(await one.cli("GET", "load"), last);
    assertEquals(await two.cli("GET", "load"), `${sent}`);
    assertEquals(Object.keys(redis.stats().servers), [at(two)]);
    await until(async () =>
      /connected_clients:1\r/.test(await one.cli("INFO", "clients"))
    );
  },
);

testWithDeployment(
  "What a frozen server owes when it is replaced goes to the new one at once, and is not settled by a late reply",
  async (deployment) => {
    const { one, two } = deployment;
    const redis = deployment.client({ replyTimeoutMs: 10_000 });
    await redis.send(["SET", "key", "before"]);
    one.freeze();
    const incremented = later(redis.send(["INCR", "counter"]));
    const added = redis.send(["ZADD", "set", 1, "member"]);
    await delay(100);
    deployment.failOver();
    const startedAt = performance.now();
    assertEquals(await added, 1);
    assertLess(performance.now() - startedAt, 1000);
    assertEquals(await two.cli("ZRANGE", "set", 0, -1), "member");
    const error = await assertRejects(
      () => incremented,
      ConnectionClosedError,
      `it was replaced: Sentinel names ${at(two)} as the primary of mymaster`,
    );
    assertEquals(error.fate, "unknown");
    one.thaw();
    await until(async () => await one.cli("EXISTS", "counter") !== "");
    assertEquals(await two.cli("EXISTS", "counter"), "0");
  },
);

testWithDeployment(
  "A call that waits for a connection to a server that is replaced goes to the new one",
  async (deployment) => {
    const { two } = deployment;
    const redis = deployment.client({ maxConnections: 1 });
    await using lease = await redis.lease();
    const waiting = redis.send(["SET", "waited", "yes"]);
    await delay(50);
    deployment.failOver();
    assertEquals(await waiting, "OK");
    assertEquals(await two.cli("GET", "waited"), "yes");
    // What is written on the lease would be lost, too.
    await assertRejects(() => lease.send(["SET", "leased", "yes"]));
  },
);

testWithDeployment(
  "A server that has crashed is asked for at the Sentinel before it is dialed again",
  async (deployment) => {
    const { one, two } = deployment;
    const redis = deployment.client({ retry: PATIENT });
    await redis.send(["SET", "key", 1]);
    await one.kill();
    const sent = redis.send(["SET", "key", 2]);
    await delay(400);
    deployment.failOver();
    const startedAt = performance.now();
    assertEquals(await sent, "OK");
    assertLess(performance.now() - startedAt, 500);
    assertEquals(await two.cli("GET", "key"), "2");
  },
);

testWithDeployment(
  "Calls that wait because of a server that was replaced try at once",
  async (deployment) => {
    const { one, two } = deployment;
    const redis = deployment.client({
      retry: new Retry({
        backoff: new ExponentialBackoff({ baseMs: 60_000, capMs: 60_000 }),
      }),
    });
    await redis.send(["SET", "key", 1]);
    await one.kill();
    const sent = [2, 3].map((n) => redis.send(["SET", `key${n}`, n]));
    await delay(300);
    deployment.failOver();
    const startedAt = performance.now();
    assertEquals(await Promise.all(sent), ["OK", "OK"]);
    assertLess(performance.now() - startedAt, 1000);
    assertEquals(await two.cli("GET", "key3"), "3");
  },
);

testWithDeployment(
  "A primary that comes back is used again, without a question for each call",
  async (deployment) => {
    const { sentinel, one } = deployment;
    const redis = deployment.client({ retry: PATIENT });
    await redis.send(["SET", "key", 1]);
    await one.kill();
    const sent = later(redis.send(["SET", "key", 2]));
    await delay(300);
    await one.start();
    assertEquals(await sent, "OK");
    const before = sentinel.asked;
    const startedAt = performance.now();
    for (let i = 0; i < 50; i++) await redis.send(["SET", "key", i]);
    const tookMs = performance.now() - startedAt;
    assertLess(tookMs, 1000);
    assertLess(sentinel.asked - before, 2 + tookMs / 100);
  },
);

testWithDeployment(
  "After a while without a connection a Sentinel is asked before the next dial",
  async (deployment) => {
    const { one, two } = deployment;
    const redis = deployment.client();
    await redis.send(["SET", "key", 1]);
    await one.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await until(() => redis.stats().open === 0);
    await delay(600);
    deployment.failOver();
    await redis.send(["SET", "key", 2]);
    assertEquals(await one.cli("GET", "key"), "1");
    assertEquals(await two.cli("GET", "key"), "2");
  },
);

testWithDeployment(
  "A primary that has become a replica is asked for at the Sentinel",
  async (deployment) => {
    const { one, two } = deployment;
    const redis = deployment.client({ retry: PATIENT });
    await redis.send(["SET", "key", 1]);
    deployment.failOver();
    await one.cli("REPLICAOF", "127.0.0.1", two.port);
    assertEquals(await redis.send(["SET", "key", 2]), "OK");
    assertEquals(await two.cli("GET", "key"), "2");
  },
);

testWithDeployment(
  "What a primary refuses that has become a replica costs one retry, however many calls",
  async (deployment) => {
    const { one, two } = deployment;
    const redis = deployment.client({ retry: PATIENT });
    await redis.send(["SET", "key", 0]);
    await one.cli("REPLICAOF", "127.0.0.1", two.port);
    const sent = later(Promise.all(
      Array.from(
        { length: 150 }, // more than the budget has retries
        (_, n) => redis.send(["SADD", "set", n]),
      ),
    ));
    await delay(50);
    deployment.failOver();
    await sent;
    assertEquals(await two.cli("SCARD", "set"), "150");
  },
);

testWithDeployment(
  "A replica that a stale Sentinel names is refused, and the other Sentinels are asked first",
  async (deployment) => {
    const { one, two } = deployment;
    await one.cli("REPLICAOF", "127.0.0.1", two.port);
    await using right = new SentinelDouble({ primary: at(two) });
    await using stale = new SentinelDouble({
      primary: at(one),
      others: [right.address],
    });
    await using redis = new Redis(urlOf([stale]), { retry: PATIENT });
    assertEquals(await redis.send(["SET", "key", "value"]), "OK");
    assertEquals(await two.cli("GET", "key"), "value");
    assertEquals([stale.asked, right.asked], [1, 1]);

    await using alone = new Redis(urlOf([stale]), { retry: false });
    const error = await assertRejects(() => alone.send(["PING"]), DialError);
    assertStringIncludes(
      error.message,
      `Cannot connect to ${
        at(one)
      }: the server is a replica, expected the primary`,
    );
    assert(error.isRetriable);
  },
);

testWithDeployment(
  "Without a Sentinel that answers, the primary in use stays",
  async (deployment) => {
    const { sentinel, one } = deployment;
    const redis = deployment.client({ retry: PATIENT });
    await redis.send(["SET", "key", 1]);
    sentinel.says.isSilent = true;
    const stop = keepSending(redis);
    await delay(1200);
    assertGreater(await stop(), 20);
    await one.restart();
    assertEquals(await redis.send(["SET", "key", 2]), "OK");
    const startedAt = performance.now();
    for (let i = 0; i < 20; i++) await redis.send(["SET", "key", i]);
    assertLess(performance.now() - startedAt, 1000);
  },
);

testWithDeployment(
  "An answer about a failover that was before the last one is not followed",
  async (deployment) => {
    const { sentinel, one, two } = deployment;
    deployment.failOver();
    const redis = deployment.client();
    const stop = keepSending(redis);
    await until(async () => await two.cli("EXISTS", "load") === "1");
    Object.assign(sentinel.says, { primary: at(one), epoch: 1 });
    await delay(1500);
    await stop();
    assertEquals(await one.cli("EXISTS", "load"), "0");
    assertEquals(Object.keys(redis.stats().servers), [at(two)]);
  },
);

Deno.test("A client closes while its question is under way, and its calls are rejected", async () => {
  await using sentinel = new SentinelDouble({
    primary: undefined,
    isSilent: true,
  });
  const redis = new Redis(urlOf([sentinel]));
  const sent = later(redis.send(["PING"]));
  await until(() => sentinel.accepted === 1);
  await redis.close({ drainMs: 0 });
  await assertRejects(() => sent, ClosedError);
  await assertRejects(() => redis.send(["PING"]), ClosedError);
});

Deno.test("A signal ends the wait for a Sentinel", async () => {
  await using sentinel = new SentinelDouble({
    primary: undefined,
    isSilent: true,
  });
  await using redis = new Redis(urlOf([sentinel]));
  const controller = new AbortController();
  const { signal } = controller;
  const sent = later(redis.send(["PING"], { signal }));
  await until(() => sentinel.accepted === 1);
  controller.abort(new Error("not needed"));
  await assertRejects(() => sent, Error, "not needed");
});

testWithDeployment(
  "A process whose client of Sentinels is idle can exit",
  async ({ sentinel }) => {
    const { code, stdout, stderr, ms } = await runProgram(
      ["--allow-net"],
      `import { Redis } from "./mod.ts";
     const redis = new Redis(${JSON.stringify(urlOf([sentinel]))});
     console.log(await redis.send(["ECHO", "hello"]));`,
    );
    assertEquals([code, stdout.trim(), stderr], [0, "hello", ""]);
    assertLess(ms, 8000);
  },
);
