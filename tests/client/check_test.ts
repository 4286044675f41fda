// That options are checked by name and type, before anything is sent.

import "../support/strict.ts";
import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { Redis, type RedisOptions, type SendOptions } from "../../mod.ts";

Deno.test("Options of the wrong type are refused by name, before anything is sent", async () => {
  const make = (options: unknown) => () =>
    new Redis("rediss://127.0.0.1:1", options as RedisOptions);
  for (
    const [options, says] of [
      [{ retry: { retries: 3 } }, /retry of type object: .*new Retry/],
      [{ limits: { maxBulk: 1 } }, /limits of type object: .*maxBulkLength/],
      [{ limits: { maxDepth: 0 } }, /limits of type object: .*1 or more/],
      [{ limits: { maxDepth: "9" } }, /limits of type object: .*numbers/],
      [{ retry: 3 }, /retry 3: .*a Retry/],
      [{ maxConnections: "3" }, /maxConnections "3"/],
      [{ dial: "x" }, /dial "x": expected a function/],
      [
        { dial: "x".repeat(101) },
        /dial "x{100}"… \(101 characters\): expected a function/,
      ],
      [{ onClose: 1 }, /onClose 1: expected a function/],
      [{ postMortem: "yes" }, /postMortem "yes": expected true or false/],
      [
        { tls: { caCert: "x" } },
        /tls\.?\s?caCert: expected .*caCerts/,
      ],
      [
        { tls: { caCerts: "x" } },
        /tls\.caCerts: expected a list/,
      ],
      [{ settle: true }, /option "settle": expected one of maxConnections/],
      [{ toString: () => "x" }, /option "toString": expected one of/],
      [null, /options null/],
    ] as const
  ) {
    assertMatch(assertThrows(make(options), Error).message, says);
  }
  await using redis = new Redis("redis://127.0.0.1:1");
  for (
    const [options, says] of [
      [
        { setle: true },
        /option "setle": expected one of signal, .*resolveFate/,
      ],
      [{ settle: true }, /option "settle": it is called resolveFate now/],
      [{ constructor: 1 }, /option "constructor": expected one of/],
      [{ resolveFate: 1 }, /resolveFate 1: expected true or false/],
      [{ replay: "sometimes" }, /replay "sometimes": expected "auto"/],
      [{ signal: 5 }, /signal 5: expected an AbortSignal/],
      [{ retry: { retries: 3 } }, /retry of type object/],
      [null, /options null/],
    ] as const
  ) {
    const given = options as unknown as SendOptions;
    for (
      const call of [
        () => redis.send(["GET", "key"], given),
        () => redis.send(["BLPOP", "key", 1], given),
        () => redis.pipeline([["GET", "key"]], given),
      ]
    ) assertMatch((await assertRejects(call, TypeError)).message, says);
  }
  const misspelled = { sgnal: AbortSignal.abort() } as object;
  await assertRejects(() => redis.lease(misspelled), TypeError, '"sgnal"');
  assertEquals(redis.stats().dialFailures, 0);
});
