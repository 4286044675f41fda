// That callers wait in order, each until its time is up, and that many cost no more each than a few.

import "../support/strict.ts";
import { assertEquals, assertLess } from "@std/assert";
import type { PushRight } from "../../pool/connection/push_right.ts";
import { type CheckoutKind, Waiters } from "../../pool/waiters.ts";

const right = { connection: { number: 7 } } as PushRight;

/** A queue in which callers wait, and what became of them. */
function queue(
  kinds: readonly CheckoutKind[],
  signals: readonly AbortSignal[] = [],
): { waiters: Waiters; outcomes: unknown[] } {
  const outcomes: unknown[] = [];
  const waiters = new Waiters(60_000, () => {});
  kinds.forEach((kind, i) =>
    waiters.add({
      kind,
      signal: signals[i],
      take: () => outcomes.push(i),
      fail: (reason) => outcomes.push(reason),
    }, performance.now())
  );
  return { waiters, outcomes };
}

Deno.test("Waiters are served in order, until nothing is left for their kind", () => {
  const { waiters, outcomes } = queue([
    "lease",
    "shared",
    "lease",
    "blocking",
    "shared",
  ]);
  let leases = 1;
  const asked: CheckoutKind[] = [];
  waiters.serve((kind) => {
    asked.push(kind);
    if (kind === "shared") return right;
    return kind === "lease" && leases-- > 0 ? right : undefined;
  });
  assertEquals(outcomes, [0, 1, 4]);
  assertEquals(asked, ["lease", "shared", "lease", "blocking", "shared"]);
  assertEquals(waiters.size, 2);
  assertEquals(waiters.count("lease"), 1);
  waiters.failAll("closed");
  assertEquals(outcomes, [0, 1, 4, "closed", "closed"]);
  assertEquals(waiters.size, 0);
});

Deno.test("Where nothing is left for any kind the rest of the queue is not asked for", () => {
  const { waiters } = queue(new Array(1000).fill("shared"));
  let asked = 0;
  waiters.serve(() => {
    asked++;
    return undefined;
  });
  assertEquals(asked, 1);
  waiters.failAll("closed");
});

Deno.test("What it takes to abort waiters grows with their number, not with its square", () => {
  /** Aborts that many at once, and returns how long it took. */
  const abort = (count: number): number => {
    const aborts = Array.from({ length: count }, () => new AbortController());
    const { waiters, outcomes } = queue(
      new Array(count).fill("shared"),
      aborts.map(({ signal }) => signal),
    );
    const startedAt = performance.now();
    for (const abort of aborts) abort.abort("enough");
    const tookMs = performance.now() - startedAt;
    assertEquals([waiters.size, outcomes.length], [0, count]);
    return tookMs;
  };
  /** The same number in queues of 1000: as many events and as much garbage. */
  const abortApart = (count: number): number => {
    let tookMs = 0;
    for (let i = 0; i < count; i += 1000) tookMs += abort(1000);
    return tookMs;
  };
  abortApart(10_000); // is compiled
  const count = 40_000;
  let apart = Infinity;
  let together = Infinity;
  // The least time is what it takes; a busy machine adds to the others.
  for (let i = 0; i < 5 && together >= 4 * apart; i++) {
    apart = Math.min(apart, abortApart(count));
    together = Math.min(together, abort(count));
  }
  // It would be 40 times as long if each looked at all others.
  assertLess(
    together,
    4 * apart,
    `${together} ms for ${count} at once, ${apart} ms for 1000 at a time`,
  );
});
