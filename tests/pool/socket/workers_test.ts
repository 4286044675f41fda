// The sockets of Cloudflare Workers, in a real workerd.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertLess,
  assertStringIncludes,
} from "@std/assert";
import type { RedisOptions } from "../../../mod.ts";
import { certificate } from "../../support/certificate.ts";
import { FakeServer } from "../../support/fake_server.ts";
import { startProxy } from "../../support/fault_proxy.ts";
import {
  type RedisServer,
  type ServerCertificate,
  startRedis,
} from "../../support/redis_server.ts";
import { ignore, Workerd } from "../../support/workerd.ts";
import type { CaseOutcome, ErrorAsJson } from "./hosts/worker.ts";

/** What a test stands on. */
interface Stage {
  readonly server: RedisServer;
  /** Asks the Worker for a case, by default with the server's URL. */
  ask(
    name: string,
    input?: { url?: string; options?: RedisOptions; amount?: number },
  ): Promise<CaseOutcome>;
}

function test(
  name: string,
  fn: (stage: Stage) => Promise<void>,
  tls: boolean | { certificate: ServerCertificate } = false,
): void {
  Deno.test(name, { ignore }, async () => {
    await using server = await startRedis({ tls });
    await using workerd = await Workerd.start({
      workers: [{
        name: "main",
        main: new URL("./hosts/worker.ts", import.meta.url),
      }],
      caCert: certificate("ca.crt"),
    });
    await fn({
      server,
      ask: async (name, input) =>
        await workerd.call(`/${name}`, {
          url: server.url,
          ...input,
        }) as CaseOutcome,
    });
  });
}

/** The error of a case that must fail. */
function errorOf(outcome: CaseOutcome): ErrorAsJson {
  assert("error" in outcome, JSON.stringify(outcome));
  return outcome.error;
}

function valueOf(outcome: CaseOutcome): unknown {
  assert("value" in outcome, JSON.stringify(outcome));
  return outcome.value;
}

const ONCE = { retry: false } satisfies RedisOptions;

test("A Worker sends commands in every way there is", async ({ ask }) => {
  assertEquals(valueOf(await ask("ways")), [1, [2], [3], 4, null]);
});

test("A Worker sends and receives many bytes", async ({ ask }) => {
  const amount = 5_000_000;
  assertEquals(valueOf(await ask("bulk", { amount })), amount);
});

test("A Worker reaches a server by its IPv6 address", async ({ ask }) => {
  await using server = await startRedis({ config: { bind: "::1 127.0.0.1" } });
  const url = `redis://[::1]:${server.port}`;
  assertEquals(valueOf(await ask("echo", { url })), "hello");
});

const PURPOSES = [
  "send INCR",
  "send INCR",
  "send a transaction",
  "lease a connection",
  "send BLMPOP",
];

test("A client that is used in another request refuses each call at once, and sends nothing", async ({ server, ask }) => {
  assertEquals(valueOf(await ask("shared")), [1, [2], [3], 4, null]);
  const others = await Promise.all(
    Array.from({ length: 4 }, () => ask("shared")),
  );
  for (const outcome of [...others, await ask("shared")]) {
    assertLess(outcome.ms, 1000);
    (valueOf(outcome) as ErrorAsJson[]).forEach((error, i) => {
      assertEquals([error.name, error.fate], ["TypeError", "unsent"]);
      const purpose = PURPOSES[i];
      assertStringIncludes(
        error.message,
        `Cannot ${purpose}: this client was first used in another request`,
      );
      assertStringIncludes(error.message, "Make a client for each request");
    });
  }
  assertEquals(await server.cli("GET", "sent"), "4");
});

test("A recorder that is used in another request accepts no event and waits for nothing", async ({ server, ask }) => {
  assertEquals(valueOf(await ask("sharedRecorder")), ["recorded", "flushed"]);
  for (let i = 0; i < 2; i++) {
    const [recorded, flushed] = valueOf(
      await ask("sharedRecorder"),
    ) as ErrorAsJson[];
    const where = "this recorder was first used in another request";
    assertStringIncludes(
      recorded!.message,
      `Cannot record event: ${where}`,
    );
    assertStringIncludes(
      flushed!.message,
      `Cannot flush the recorder: ${where}`,
    );
  }
  assertEquals(await server.cli("ZCARD", "webhook_frequency_m_1_e"), "1");
});

test("A server that cannot be reached from a Worker is explained, and may be tried again", async ({ ask }) => {
  const error = errorOf(
    await ask("echo", { url: "redis://127.0.0.1:1", options: ONCE }),
  );
  assertEquals([error.name, error.phase, error.fate, error.isRetriable], [
    "DialError",
    "connect",
    "unsent",
    true,
  ]);
  assertStringIncludes(
    error.message,
    "no server listens there; once deployed, a Worker reaches no private address and no localhost at all",
  );
  const other = errorOf(
    await ask("echo", { url: "redis://redis.invalid", options: ONCE }),
  );
  assertStringIncludes(
    other.message,
    "no server listens there, or there is no such host",
  );
});

test("What sockets of Workers have not is refused before anything is dialed", async ({ ask }) => {
  const url = "rediss://127.0.0.1:1";
  const cert = certificate("client.crt");
  const key = certificate("client.key");
  for (
    const [options, text] of [
      [{ caCerts: [cert] }, "tls.caCerts: only the authorities of the runtime"],
      [{ cert, key }, "tls.cert: a socket has no certificate of a client"],
      [
        { unsafelyDisableHostnameVerification: true },
        "tls.unsafelyDisableHostnameVerification: the server's name is always verified",
      ],
    ] as const
  ) {
    const outcome = await ask("echo", {
      url,
      options: { tls: { ...options } as RedisOptions["tls"] & object },
    });
    const { name, phase, isRetriable, message } = errorOf(outcome);
    assertEquals([name, phase, isRetriable], ["DialError", "tls", false]);
    assertStringIncludes(
      message,
      `Cannot connect to 127.0.0.1:1: cannot use ${text}`,
    );
  }
  const { message } = errorOf(await ask("echo", { url: "unix:///tmp/redis" }));
  assertStringIncludes(
    message,
    "cannot use a Unix socket on Cloudflare Workers",
  );
});

test(
  "A Worker speaks TLS, to the host of the URL or to the name it is given",
  async ({ server, ask }) => {
    const [byIp, byName, byOther] = await Promise.all([
      ask("bulk", { url: server.tlsUrl, amount: 1_000_000 }),
      ask("echo", { url: `rediss://localhost:${server.tlsPort}` }),
      ask("echo", {
        url: server.tlsUrl,
        options: { tls: { serverName: "redis.test" } },
      }),
    ]);
    assertEquals([byIp, byName, byOther].map(valueOf), [
      1_000_000,
      "hello",
      "hello",
    ]);
    const { phase, message } = errorOf(
      await ask("echo", {
        url: server.tlsUrl,
        options: { ...ONCE, tls: { serverName: "other.test" } },
      }),
    );
    assertEquals(phase, "tls");
    assertStringIncludes(message, "made out to other.test");
  },
  true,
);

for (const certificate of ["wrong_host", "unknown_server"] as const) {
  test(
    `A Worker refuses the certificate of ${
      certificate === "wrong_host" ? "another host" : "an unknown authority"
    }`,
    async ({ server, ask }) => {
      const { name, phase, how, message } = errorOf(
        await ask("echo", { url: server.tlsUrl, options: ONCE }),
      );
      assertEquals([name, phase, how], ["DialError", "tls", "unknown"]);
      assertStringIncludes(message, "TLS failed");
      assertStringIncludes(
        message,
        "the certificate must be of a public authority and made out to 127.0.0.1",
      );
    },
    { certificate },
  );
}

test("A dial that TLS holds up is given up in time", async ({ ask }) => {
  await using silent = new FakeServer(() => {});
  const outcome = await ask("echo", {
    url: `rediss://${silent.address}`,
    options: { ...ONCE, connectTimeoutMs: 300 },
  });
  assertLess(outcome.ms, 2000);
  assertStringIncludes(
    errorOf(outcome).message,
    "connected, but no TLS handshake within 300 ms",
  );
});

for (const how of ["fin", "rst"] as const) {
  test(`A Worker notices a ${how.toUpperCase()} while idle, and the next command is answered`, async ({ server, ask }) => {
    await using proxy = await startProxy({ target: server });
    const outcome = ask("ended", { url: proxy.url, amount: 400 });
    while (!/\S/.test(await server.cli("GET", "ended"))) {
      // The first command has not run yet.
    }
    await proxy.killAll(how);
    assertEquals(valueOf(await outcome), {
      next: "OK",
      end: how === "fin" ? "server fin" : "network rst",
    });
  });
}

test("The progress of a slow upload is seen", async ({ server, ask }) => {
  await using slow = new FakeServer(async (client) => {
    using target = await Deno.connect(server);
    target.readable.pipeTo(client.writable).catch(() => {});
    const chunk = new Uint8Array(256 * 1024);
    for (let count; (count = await client.read(chunk)) !== null;) {
      for (let at = 0; at < count;) {
        at += await target.write(chunk.subarray(at, count));
      }
      await new Promise((resolve) => setTimeout(resolve, count / 16_000));
    }
  });
  const outcome = await ask("upload", {
    url: `redis://${slow.address}`,
    options: { ...ONCE, replyTimeoutMs: 700 },
    amount: 24_000_000,
  });
  assertEquals(valueOf(outcome), "OK");
  assert(outcome.ms > 1200, `${outcome.ms} ms`);
});
