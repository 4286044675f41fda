// That no event is lost and no command runs twice in silence on a cluster and behind Sentinels: the quick profile.
import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { QUICK } from "../load_profile.ts";
import { routedUnder } from "./row.ts";
import { routedScenarios } from "./scenarios.ts";

for (const scenario of routedScenarios) {
  if (scenario.onlyLong) continue;
  Deno.test(`No event is lost or doubled, no INCR runs twice in silence, no call hangs: ${scenario.name}, ${scenario.fault}`, async () => {
    const { misses } = await routedUnder(scenario, QUICK);
    assertEquals(misses, []);
  });
}
