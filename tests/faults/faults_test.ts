// That no event is lost and no command runs twice in silence, whatever breaks: the quick profile.
import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { programForTests } from "../support/tools.ts";
import { ClientHost, RUNTIMES } from "./client_host.ts";
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

/** Those that show most of what differs by runtime: closes, silence, resets, TLS, back-pressure. */
const TELLING = ["kill-tls", "silent", "reset", "large", "slam", "closing"];

for (const runtime of ["node", "bun"] as const) {
  const { ignore } = await programForTests(RUNTIMES[runtime]);
  Deno.test(
    `On ${runtime} no event is lost or doubled, no INCR runs twice in silence, no call hangs`,
    {
      ignore,
    },
    async (t) => {
      await using records = await ClientHost.start(runtime);
      await using counts = await ClientHost.start(runtime);
      for (const scenario of scenarios) {
        if (!TELLING.includes(scenario.name)) continue;
        await t.step(scenario.fault, async () => {
          const [recorded, counted] = await Promise.all([
            recordUnder(scenario, QUICK, records),
            scenario.recorderOnly
              ? undefined
              : incrUnder(scenario, QUICK, counts),
          ]);
          assertEquals([recorded.misses, counted?.misses ?? []], [[], []]);
        });
      }
    },
  );
}
