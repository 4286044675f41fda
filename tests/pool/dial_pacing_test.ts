// That dials to one server are paced after a failure.
import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { DialPacing } from "../../pool/dialer.ts";

const FAILED = { wasCut: false, isAnyOpen: false };

Deno.test("Three dials may be under way at first, and one after a failure", () => {
  const pacing = new DialPacing();
  assertEquals([pacing.limit, pacing.waitMs(0)], [3, 0]);
  pacing.failed({ now: 0, ...FAILED });
  assertEquals([pacing.limit, pacing.hasFailed], [1, true]);
  pacing.succeeded();
  assertEquals([pacing.limit, pacing.waitMs(0), pacing.hasFailed], [
    3,
    0,
    false,
  ]);
});

Deno.test("A dial that was cut in its handshake is repeated at once, once", () => {
  const pacing = new DialPacing();
  const cut = { now: 0, wasCut: true, isAnyOpen: false };
  assertEquals(pacing.failed(cut), true);
  assertEquals(pacing.waitMs(0), 0);
  assertEquals(pacing.failed(cut), false);
  assertEquals(pacing.hasFailed, true);
});

Deno.test("The pause doubles while other connections are open", () => {
  const pacing = new DialPacing(() => 0);
  const pauses = [0, 1, 2, 3, 4, 5, 6].map(() => {
    pacing.failed({ now: 0, wasCut: false, isAnyOpen: true });
    return pacing.waitMs(0);
  });
  assertEquals(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
});

Deno.test("Without an open connection the pause stays short, and chance makes it up to twice as long", () => {
  for (const [chance, pauseMs] of [[0, 50], [0.5, 75], [0.99, 99.5]] as const) {
    const pacing = new DialPacing(() => chance);
    for (let n = 0; n < 5; n++) pacing.failed({ now: 0, ...FAILED });
    assertEquals(pacing.waitMs(0), pauseMs);
  }
});
