// TLS: whom a client trusts, what it shows, and what it says when it does not.
import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertLess,
  assertStringIncludes,
} from "@std/assert";
import { ConnectionClosedError, type TlsOptions } from "../../../mod.ts";
import type { Cases, Env } from "../env.ts";
import { errorOf, refusal, until, withClient } from "./helpers.ts";
import { isSame, patternOf } from "./bytes.ts";

/** Trusts the tests' authority. A Worker trusts it by its configuration, and has no such option. */
async function trusting(env: Env): Promise<TlsOptions> {
  return env.isWorker ? {} : { caCerts: [await env.pem("ca.crt")] };
}

/** A server is not used whose certificate is another's. */
async function refusesName(
  env: Env,
  url: string,
  more: TlsOptions = {},
): Promise<void> {
  const error = await refusal(url, {
    tls: { ...await trusting(env), ...more },
  });
  assertEquals(error.phase, "tls", error.message);
  if (!env.isWorker) {
    assertFalse(error.isRetriable, error.message);
    assertStringIncludes(error.message, "tls.serverName");
  }
}

export const tls: Cases = {
  "A server of an authority of one's own is trusted": async (env) => {
    const { tlsUrl, tlsPort } = await env.make("sharedServer", { tls: true });
    for (const url of [tlsUrl, `rediss://localhost:${tlsPort}`]) {
      await withClient(url, { tls: await trusting(env) }, async (redis) => {
        const value = patternOf(3_000_000);
        await redis.send(["SET", env.prefix, value]);
        const back = await redis.send(["GET", env.prefix], { binary: true });
        assert(isSame(back, value));
      });
    }
  },

  "A server is trusted by its IPv6 address": async (env) => {
    const config = { bind: "::1 127.0.0.1" };
    const { tlsPort } = await env.make("sharedServer", { tls: true, config });
    const tls = await trusting(env);
    for (const host of ["[::1]", "[0:0:0:0:0:0:0:1]"]) {
      await withClient(
        `rediss://${host}:${tlsPort}`,
        { tls },
        async (redis) => {
          assertEquals(await redis.send(["PING"]), "PONG");
        },
      );
    }
    if (env.isWorker) return;
    for (const serverName of ["::1", "0:0::1"]) {
      const options = { tls: { ...tls, serverName } };
      await withClient(
        `rediss://localhost:${tlsPort}`,
        options,
        async (redis) => {
          assertEquals(await redis.send(["PING"]), "PONG");
        },
      );
    }
    await refusesName(env, `rediss://[::1]:${tlsPort}`, { serverName: "::2" });
  },

  "A server of an unknown authority is refused, and not tried again": async (
    env,
  ) => {
    const options = { tls: { certificate: "unknown_server" } } as const;
    const { tlsUrl } = await env.make("sharedServer", options);
    const error = await refusal(tlsUrl, { tls: await trusting(env) });
    assertEquals(error.phase, "tls");
    if (env.isWorker) return;
    assertFalse(error.isRetriable);
    assertStringIncludes(error.message, "tls.caCerts");
    const unsafe = await refusal(tlsUrl, {
      tls: {
        ...await trusting(env),
        unsafelyDisableHostnameVerification: true,
      },
    });
    assertEquals(unsafe.phase, "tls");
    const unconfigured = await refusal(tlsUrl);
    assertEquals(unconfigured.phase, "tls");
  },

  "A certificate for another host is refused, by name and by address": async (
    env,
  ) => {
    const options = { tls: { certificate: "wrong_host" } } as const;
    const { tlsUrl, tlsPort } = await env.make("sharedServer", options);
    await refusesName(env, tlsUrl);
    await refusesName(env, `rediss://localhost:${tlsPort}`);
    await refusesName(env, tlsUrl, { serverName: "redis.test" });
    const tls = { ...await trusting(env), serverName: "elsewhere.test" };
    await withClient(tlsUrl, { tls }, async (redis) => {
      assertEquals(await redis.send(["PING"]), "PONG");
    });
  },

  "The check of a name can be left out, and of an authority cannot": async (
    env,
  ) => {
    const options = { tls: { certificate: "wrong_host" } } as const;
    const { tlsUrl, tlsPort } = await env.make("sharedServer", options);
    const unsafelyDisableHostnameVerification = true;
    const tls = {
      ...await trusting(env),
      unsafelyDisableHostnameVerification,
    };
    if (env.isWorker) {
      const { message, isRetriable } = await refusal(tlsUrl, { tls });
      assertFalse(isRetriable);
      return assertStringIncludes(
        message,
        "the server's name is always verified",
      );
    }
    for (const url of [tlsUrl, `rediss://localhost:${tlsPort}`]) {
      await withClient(url, { tls }, async (redis) => {
        assertEquals(await redis.send(["PING"]), "PONG");
      });
    }
    const { phase } = await refusal(tlsUrl, {
      tls: { unsafelyDisableHostnameVerification },
    });
    assertEquals(phase, "tls");
  },

  "A client shows its certificate where it is asked for one": async (env) => {
    const options = { tls: { clientCertificate: true } } as const;
    const { tlsUrl } = await env.make("sharedServer", options);
    const tls = {
      ...await trusting(env),
      cert: await env.pem("client.crt"),
      key: await env.pem("client.key"),
    };
    if (env.isWorker) {
      const { message, isRetriable } = await refusal(tlsUrl, { tls });
      assertFalse(isRetriable);
      return assertStringIncludes(message, "no certificate of a client");
    }
    await withClient(tlsUrl, { tls }, async (redis) => {
      assertEquals(await redis.send(["PING"]), "PONG");
    });
    const error = await refusal(tlsUrl, { tls: await trusting(env) });
    // Bun before 1.4 does not hand on the alert.
    assertEquals(error.isRetriable, env.isOldBun, error.message);
  },

  "A client's certificate does not weaken the check of the server's": async (
    env,
  ) => {
    if (env.isWorker) return;
    const options = { tls: { certificate: "wrong_host" } } as const;
    const { tlsUrl } = await env.make("sharedServer", options);
    const mine = {
      cert: await env.pem("client.crt"),
      key: await env.pem("client.key"),
    };
    await refusesName(env, tlsUrl, mine);
    const error = await refusal(tlsUrl, { tls: mine });
    assertEquals(error.phase, "tls");
  },

  "A plain port, and a TLS port that is called by plain text, are told": async (
    env,
  ) => {
    const { port, tlsPort } = await env.make("sharedServer", { tls: true });
    const options = { connectTimeoutMs: 1000 };
    const plain = await refusal(`rediss://127.0.0.1:${port}`, options);
    assertEquals(plain.phase, "tls");
    if (!env.isWorker) {
      assertStringIncludes(plain.message, "does not speak TLS");
    }
    const encrypted = await refusal(`redis://127.0.0.1:${tlsPort}`, options);
    assertEquals(encrypted.phase, "handshake");
  },

  "A peer is told which server is meant, and an answer in plain text is named as such":
    async (env) => {
      const { port } = await env.make("peer", "named");
      const tls = { ...await trusting(env), serverName: "redis.test" };
      const error = await refusal(`rediss://127.0.0.1:${port}`, { tls });
      assertEquals(error.phase, "tls");
      if (env.isWorker) return; // it has one text for all that TLS fails by
      assertStringIncludes(error.message, "does not speak TLS");
      assertFalse(error.isRetriable);
    },

  "A peer that never answers TLS is given up in time": async (env) => {
    const { port } = await env.make("peer", "silent");
    const startedAt = performance.now();
    const error = await refusal(`rediss://127.0.0.1:${port}`, {
      connectTimeoutMs: 300,
    });
    assertLess(performance.now() - startedAt, 2000);
    assertEquals(error.phase, "tls");
    assertStringIncludes(error.message, "no TLS handshake within 300 ms");
  },

  "An end without farewell, a reset and silence are noticed under TLS": async (
    env,
  ) => {
    const { tlsPort } = await env.make("sharedServer", { tls: true });
    for (const way of ["fin", "rst"] as const) {
      const proxy = await env.make("proxy", { port: tlsPort }, { tls: true });
      const options = { tls: await trusting(env), replyTimeoutMs: 500 };
      await withClient(proxy.url, options, async (redis, reports) => {
        await redis.send(["PING"]);
        await proxy.killAll(way);
        await until(() => reports.length === 1, `${way} is noticed`);
        assertEquals(reports[0]!.during, "idle");
        assertEquals(reports[0]!.how, howOf(env, way));
        await redis.send(["PING"]);
        await proxy.cut(0, { by: way, scope: "open" });
        const error = await errorOf(redis.send(["INCR", env.prefix]));
        assertInstanceOf(error, ConnectionClosedError);
        assertEquals(error.report.how, howOf(env, way));
        assertEquals(await redis.send(["PING"]), "PONG");
        await proxy.silence({ scope: "open" });
        const silent = await errorOf(redis.send(["INCR", env.prefix]));
        assertInstanceOf(silent, ConnectionClosedError);
        assertEquals(silent.report.how, "silence");
      });
    }
  },

  "Kill after kill costs no command under TLS": async (env) => {
    const { tlsPort } = await env.make("sharedServer", { tls: true });
    const proxy = await env.make("proxy", { port: tlsPort }, { tls: true });
    const options = { tls: await trusting(env) };
    await withClient(proxy.url, options, async (redis) => {
      for (let i = 0; i < 8; i++) {
        const replies = Promise.all(
          [0, 1, 2, 3].map((n) => redis.send(["SET", `${env.prefix}${n}`, i])),
        );
        await proxy.killAll(i % 2 === 0 ? "fin" : "rst");
        assertEquals(await replies, ["OK", "OK", "OK", "OK"]);
      }
    });
  },
};

/** As what an end shows itself: Bun before 1.4 takes every reset for an end. */
const howOf = (env: Env, way: "fin" | "rst"): "fin" | "rst" =>
  env.isOldBun ? "fin" : way;
