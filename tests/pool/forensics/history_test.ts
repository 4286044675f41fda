// Which snapshots and connections a post-mortem compares, keeps and counts.

import "../../support/strict.ts";
import { assertEquals, assertMatch } from "@std/assert";
import type { CloseReport } from "../../../mod.ts";
import type { Verdict } from "../../../pool/forensics/verdict.ts";
import { kills, NOW, report, Stage } from "./literal_server.ts";

/** A silence of 4 s that has just ended, and what its siblings did meanwhile. */
async function silence(
  arrange: (stage: Stage, now: number) => void | Promise<void>,
  more: Partial<CloseReport> = {},
): Promise<Verdict> {
  const stage = new Stage();
  const own = stage.connect();
  own.report = report({
    how: "silence",
    by: "network",
    owedMs: 4000,
    silentMs: 4010,
    closedAt: Date.now(),
    ...more,
  });
  await stage.takeBaseline(own, NOW - 60_000);
  await arrange(stage, performance.now());
  return await stage.why(own.report, own);
}

Deno.test("A snapshot of a sibling counts if it is older than the end by a second, and newer than that of the connection itself", async () => {
  for (
    const [ownAt, siblingAt, span] of [
      [-60_000, -1000, "0 -> 1"], // the newer one
      [-60_000, -999, "0 -> 2"], // may be of after the end
      [-5000, -5001, "0 -> 2"], // the older one
      [-5000, -5000, "0 -> 1"],
    ] as const
  ) {
    const stage = new Stage();
    const [own, sibling] = [stage.connect(), stage.connect()];
    const looks = ([[ownAt, own, 0], [siblingAt, sibling, 1]] as const)
      .toSorted((a, b) => a[0] - b[0]);
    for (const [at, connection] of looks) {
      // Who looked later saw more.
      stage.info = connection === own ? kills(0) : kills(1);
      await stage.takeBaseline(connection, NOW + at);
    }
    stage.info = kills(2);
    const verdict = await stage.why(report(), own);
    const from = span === "0 -> 1" ? "1 -> 2" : "0 -> 2";
    assertMatch(verdict.text, new RegExp(`calls ${from}`), `${ownAt}`);
  }
});

Deno.test("Where the connection has no snapshot, one of a sibling counts that was taken before the end", async () => {
  for (const [at, text] of [[0, "0 -> 1"], [1, undefined]] as const) {
    const stage = new Stage();
    stage.info = kills(0);
    await stage.takeBaseline(stage.connect(), NOW + at);
    stage.info = kills(1);
    const verdict = await stage.why(report(), stage.connect());
    assertEquals(/\d+ -> \d+/.exec(verdict.text)?.[0], text);
  }
});

Deno.test("A snapshot of another run of the server is not compared", async () => {
  const stage = new Stage();
  const [own, sibling] = [stage.connect(), stage.connect()];
  stage.info = kills(0);
  await stage.takeBaseline(own, NOW - 60_000);
  stage.info = { ...kills(5), run_id: "r2" };
  await stage.takeBaseline(sibling, NOW - 5000);
  stage.info = kills(1);
  assertMatch((await stage.why(report(), own)).text, /calls 0 -> 1/);
});

Deno.test("A silence is compared with the snapshot of the connection itself, since it may have begun long ago", async () => {
  const stage = new Stage();
  const [own, sibling] = [stage.connect(), stage.connect()];
  stage.info = kills(0);
  await stage.takeBaseline(own, NOW - 60_000);
  stage.info = kills(1);
  await stage.takeBaseline(sibling, NOW - 5000);
  const verdict = await stage.why(
    report({ how: "silence", silentMs: 9e4 }),
    own,
  );
  assertMatch(verdict.text, /calls 0 -> 1/);
});

Deno.test("A sibling outlives an end if it ends more than a second later, and was connected to the same run", async () => {
  for (
    const [closedAt, run, outlived] of [
      [undefined, "r1", "1"],
      [NOW + 1001, "r1", "1"],
      [NOW + 1000, "r1", undefined],
      [undefined, "r0", undefined],
    ] as const
  ) {
    const stage = new Stage();
    const [own, sibling] = [stage.connect(), stage.connect()];
    stage.info = { run_id: run };
    await stage.takeBaseline(sibling, NOW - 50_000);
    await stage.takeBaseline(sibling, NOW - 45_000); // twice is one
    stage.info = { run_id: "r1" };
    await stage.takeBaseline(own, NOW - 40_000);
    own.report = report();
    if (closedAt !== undefined) sibling.report = report({ closedAt });
    stage.info = { run_id: "r2", uptime_in_seconds: 0 };
    const verdict = await stage.why(report(), own);
    assertEquals(
      /outlived by (\d+)/.exec(verdict.text)?.[1],
      outlived,
      verdict.text,
    );
  }
});

Deno.test("Idle ages count for ends that are more than a second apart, were idle, and were not made by this client", async () => {
  const idle = { during: "idle", idleMs: 130_000 } as const;
  const cases: [Partial<CloseReport>[], times: string | undefined][] = [
    [[{ closedAt: NOW - 9000 }, { closedAt: NOW - 5000 }], "3rd"],
    [[{ closedAt: NOW - 9000 }, { closedAt: NOW - 8000 }], undefined],
    [[{ closedAt: NOW - 9000 }, { closedAt: NOW - 7999 }], "3rd"],
    [[{ closedAt: NOW - 9000 }, { closedAt: NOW - 1000 }], undefined],
    [[{ closedAt: NOW - 9000 }, { closedAt: NOW - 1001 }], "3rd"],
    [
      [{ closedAt: NOW - 9000 }, { closedAt: NOW - 5000, by: "client" }],
      undefined,
    ],
    [[{ closedAt: NOW - 9000 }, {
      closedAt: NOW - 5000,
      during: "awaiting-reply",
    }], undefined],
  ];
  for (const [earlier, times] of cases) {
    const stage = new Stage();
    for (const more of earlier) {
      await stage.why(report({ ...idle, ...more }), stage.connect());
    }
    const verdict = await stage.why(report(idle), stage.connect());
    assertEquals(
      /(\w+) time at/.exec(verdict.text)?.[1],
      times,
      JSON.stringify(earlier),
    );
  }
});

Deno.test("The last 32 idle ends are kept", async () => {
  const stage = new Stage();
  const idle = { during: "idle", idleMs: 130_000 } as const;
  for (let i = 40; i > 0; i--) {
    await stage.why(
      report({ ...idle, closedAt: NOW - i * 2000 }),
      stage.connect(),
    );
  }
  const verdict = await stage.why(report(idle), stage.connect());
  assertMatch(verdict.text, /33rd time/);
});

Deno.test("The newest snapshot of the connection itself counts", async () => {
  const stage = new Stage();
  const own = stage.connect();
  for (const [i, at] of [-60_000, -30_000].entries()) {
    stage.info = kills(i);
    await stage.takeBaseline(own, NOW + at);
  }
  stage.info = kills(2);
  for (const how of ["fin", "silence"] as const) {
    const { text } = await stage.why(report({ how, silentMs: 9e4 }), own);
    assertMatch(text, /calls 1 -> 2/);
  }
});

Deno.test("A sibling counts as answered if a byte came after the first quarter of a silence, or just after it", async () => {
  for (
    const [heardMs, isOpen, answered] of [
      [-3100, true, false],
      [-2900, true, true],
      [-1, true, true],
      [100, true, true],
      [300, true, false],
      [-100, false, false],
    ] as const
  ) {
    const verdict = await silence(async (stage, now) => {
      const heardAt = now + heardMs;
      const sibling = stage.connect({ heardAt });
      await stage.takeBaseline(sibling, NOW - 50_000);
      if (!isOpen) sibling.report = report();
    });
    assertEquals(
      /1 other answered meanwhile/.test(verdict.text),
      answered,
      `${heardMs} ${isOpen}: ${verdict.text}`,
    );
  }
});

Deno.test("The siblings that were answered are noted when the silence ends, without the fresh connection", async () => {
  const stage = new Stage();
  const own = stage.connect();
  const sibling = stage.connect({ heardAt: performance.now() - 10 });
  await stage.takeBaseline(sibling, NOW - 50_000);
  const how = own.report = report({
    ...{ how: "silence", owedMs: 4000, silentMs: 4010 },
    closedAt: Date.now(),
  });
  stage.postMortem.noteEnd(how, own);
  sibling.heardAt += 60_000; // it goes on
  const fresh = stage.connect({ heardAt: performance.now() });
  const { text } = await stage.why(how, own, fresh);
  assertMatch(text, /it fell silent, 1 other answered meanwhile/);
});

Deno.test("Connections that fell silent at the same time are counted, and new ones separately", async () => {
  const verdict = await silence((stage) => {
    const end = (more: Partial<CloseReport>) => {
      const connection = stage.connect();
      connection.report = report({ how: "silence", by: "network", ...more });
      stage.postMortem.noteEnd(connection.report, connection);
    };
    end({ closedAt: Date.now() - 3900 });
    end({ closedAt: Date.now() + 900 });
    end({ closedAt: Date.now() - 4500 }); // before
    end({ closedAt: Date.now(), how: "fin" });
    end({ closedAt: Date.now(), during: "handshake" });
    end({
      ...{ closedAt: Date.now(), during: "handshake", how: "requested" },
      cause: "connect timeout",
    });
    end({
      ...{ closedAt: Date.now(), during: "handshake", how: "requested" },
      cause: "the pool was closed",
    });
  });
  assertMatch(verdict.text, /3 connections fell silent at once/);
  assertMatch(verdict.text, /2 new connections got no answer/);
});

Deno.test("Ends a second before count as the same time, however short the silence", async () => {
  const verdict = await silence((stage) => {
    for (const ms of [900, 1100]) {
      const connection = stage.connect();
      connection.report = report({
        ...{ how: "silence", by: "network" },
        closedAt: Date.now() - ms,
      });
      stage.postMortem.noteEnd(connection.report, connection);
    }
  }, { owedMs: 100, silentMs: 110 });
  assertMatch(verdict.text, /2 connections fell silent at once/);
});

Deno.test("A dial is slow by the median of those before it, itself and failed ones not counted", async () => {
  for (
    const [dials, dialMs, usual] of [
      [[2, 2, 40], 150, "2 ms"],
      [[40, 40, 0, 0, 0, 0], 300, "40 ms"],
      [[1, 30, 40], 160, "30 ms"],
    ] as const
  ) {
    const stage = new Stage();
    const own = stage.connect({ dialMs: dials[0] });
    await stage.takeBaseline(own, NOW - 60_000);
    for (const ms of dials.slice(1)) {
      await stage.takeBaseline(stage.connect({ dialMs: ms }), NOW - 50_000);
    }
    const how = own.report = report({
      ...{ how: "silence", owedMs: 4000, silentMs: 4010 },
      closedAt: Date.now(),
    });
    const verdict = await stage.why(how, own, stage.connect({ dialMs }));
    assertMatch(
      verdict.text,
      new RegExp(`took ${dialMs} ms to open, usually ${usual}`),
    );
  }
});

Deno.test("Connections that were opened since the snapshot before are known to have sent HELLO", async () => {
  const stage = new Stage();
  const own = stage.connect();
  stage.info = { run_id: "r1", cmdstat_hello: "calls=1" };
  await stage.takeBaseline(own, Date.now() - 30_000);
  const now = performance.now();
  const how = own.report = report({
    ...{ how: "silence", owedMs: 4000, silentMs: 4010 },
    closedAt: Date.now(),
  });
  stage.postMortem.noteEnd(how, own);
  const lost = stage.connect({ identity: undefined, openedAt: now });
  lost.report = report({
    ...{ how: "requested", during: "handshake", cause: "connect timeout" },
    closedAt: Date.now(),
  });
  stage.postMortem.noteEnd(lost.report, lost);
  const later = stage.connect({ openedAt: now });
  stage.postMortem.noteEnd(report({ during: "idle" }), later);
  // Two that were answered and one that was not: three, had the server stood still.
  stage.info = { run_id: "r1", cmdstat_hello: "calls=3" };
  stage.at = Date.now();
  const verdict = await stage.why(how, own, stage.connect({ openedAt: now }));
  assertMatch(verdict.text, /never reached the server: cmdstat_hello calls 1/);
  stage.info = { run_id: "r1", cmdstat_hello: "calls=4" };
  const another = await stage.why(
    how,
    own,
    stage.connect({ openedAt: now - 40_000 }),
  );
  assertEquals(another.cause, "server-stall", another.text);
});

Deno.test("The last 32 connections are kept", async () => {
  for (const [later, isKnown] of [[29, true], [30, false]] as const) {
    const verdict = await silence(async (stage, now) => {
      const sibling = stage.connect({ heardAt: now - 10 });
      await stage.takeBaseline(sibling, NOW - 50_000);
      // Beside them: the one that ended, and the fresh one.
      for (let i = 0; i < later; i++) {
        stage.postMortem.noteEnd(report({ during: "idle" }), stage.connect());
      }
    });
    assertEquals(
      /other answered meanwhile/.test(verdict.text),
      isKnown,
      `${later}`,
    );
  }
});
