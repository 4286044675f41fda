// That no event is lost and no command runs twice in silence, whatever breaks: the quick form of faults.ts.
import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { incrUnder } from "./incr.ts";
import { QUICK } from "./form.ts";
import { recordUnder } from "./load.ts";
import type { Scenario } from "./scenario.ts";
import { scenarios } from "./scenarios.ts";

/** The kills among the scenarios, which close a TLS connection otherwise than a plain one. */
const overTls = scenarios
  .filter(({ name }) => ["idle-kill", "transaction", "closing"].includes(name))
  .map((scenario): Scenario => ({
    ...scenario,
    fault: `${scenario.fault}, over TLS`,
    tls: true,
  }));

const played = [...scenarios, ...overTls];

// Two loads share the machine, no more: each row has limits of time.
for (const scenario of played) {
  Deno.test(`No event is lost or doubled, no INCR runs twice in silence, no call hangs: ${scenario.fault}`, async () => {
    const [recorded, counted] = await Promise.all([
      recordUnder(scenario, QUICK),
      scenario.recorderOnly ? undefined : incrUnder(scenario, QUICK),
    ]);
    assertEquals([recorded.misses, counted?.misses ?? []], [[], []]);
  });
}
