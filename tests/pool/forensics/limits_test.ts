// The public limits, and what is advised to stay clear of them.

import "../../support/strict.ts";
import { assertEquals, assertMatch } from "@std/assert";
import { settingsOf } from "../../../client/settings.ts";
import {
  limitAt,
  LIMITS,
  limitsBelow,
  safelyBelow,
} from "../../../pool/forensics/idle_rules.ts";

Deno.test("Each public limit fits itself, a little before and more after it, and says where it is documented", () => {
  for (const limit of LIMITS) {
    const { seconds, counts, sources, name, closes } = limit;
    const ms = seconds * 1000;
    const early = Math.max(1000, ms / 200), late = Math.max(5000, ms / 50);
    for (const age of [ms - early, ms, ms + late]) {
      assertEquals(limitAt(age, counts), limit, `${name} at ${age}`);
    }
    for (const age of [ms - early - 1, ms + late + 1]) {
      assertEquals(limitAt(age, counts), undefined, `${name} at ${age}`);
    }
    assertEquals(limitAt(ms, counts === "idle" ? "age" : "idle"), undefined);
    assertEquals(sources.length > 0 && closes.length > 0, true);
    for (const source of sources) new URL(source);
  }
  assertEquals(LIMITS.map(({ seconds }) => seconds), [
    ...[240, 350, 600, 1200, 43_200],
  ]);
  assertEquals(
    [239_999, 240_000, 599_999, 1e9].map((ms) => limitsBelow(ms).length),
    [0, 1, 2, 4],
  );
});

Deno.test("Advice stays a tenth below a limit, is a plain number, and never 0", () => {
  for (
    const [limitMs, advised] of [
      ...[[100, 90], [450, 400], [1000, 900], [7000, 6300], [7587, 6800]],
      ...[[300_000, 270_000], [350_000, 310_000], [43_200_000, 38_000_000]],
    ] as const
  ) assertEquals(safelyBelow(limitMs), advised);
  for (let ms = 100; ms < 1e8; ms *= 1.37) {
    const advised = safelyBelow(ms);
    assertEquals(advised > 0.8 * ms && advised <= 0.9 * ms, true, `${ms}`);
    assertMatch(`${advised}`, /^\d\d?0*$/);
  }
});

Deno.test("By default an idle connection is closed before any public limit, though looked at once a second", () => {
  const { idleTimeoutMs } = settingsOf({});
  assertEquals(idleTimeoutMs, 230_000);
  for (const { seconds } of LIMITS) {
    assertEquals(idleTimeoutMs + 1000 < seconds * 1000, true);
  }
});
