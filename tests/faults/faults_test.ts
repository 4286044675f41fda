// That no event is lost and no command runs twice in silence, whatever breaks: the quick profile.
import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { incrUnder } from "./incr.ts";
import { QUICK } from "./load_profile.ts";
import { recordUnder } from "./record.ts";
import type { Scenario } from "./scenario.ts";
import { scenarios } from "./scenarios.ts";

/** The scenarios with kills, once more: a TLS connection closes in another way than a plain one. */
const overTls = scenarios
  .filter(({ name }) => ["idle-kill", "transaction", "closing"].includes(name))
  .map((scenario): Scenario => ({
    ...scenario,
    fault: `${scenario.fault}, over TLS`,
    tls: true,
  }));

const chosen = [...scenarios, ...overTls];

// No more than two loads run at once: each row has time limits.
for (const scenario of chosen) {
  Deno.test(`No event is lost or doubled, no INCR runs twice in silence, no call hangs: ${scenario.fault}`, async () => {
    const [recorded, counted] = await Promise.all([
      recordUnder(scenario, QUICK),
      scenario.recorderOnly ? undefined : incrUnder(scenario, QUICK),
    ]);
    assertEquals([recorded.misses, counted?.misses ?? []], [[], []]);
  });
}
