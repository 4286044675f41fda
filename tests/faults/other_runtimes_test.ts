// That faults do no more harm to a client on Node or Bun: the quick profile of those in which runtimes differ most.
import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { programForTests } from "../support/tools.ts";
import { ClientHost, RUNTIMES } from "./client_host.ts";
import { incrUnder } from "./incr.ts";
import { QUICK } from "./load_profile.ts";
import { recordUnder } from "./record.ts";
import { scenarios } from "./scenarios.ts";

/** Closes, silence, resets, TLS, back-pressure. */
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
