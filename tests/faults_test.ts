// That no event is lost and no command runs twice in silence, whatever breaks: the quick form of faults.ts.
import "./support/strict.ts";
import { assertEquals } from "@std/assert";
import { incrUnder } from "./faults/incr.ts";
import { type Form, QUICK } from "./faults/form.ts";
import { recordUnder } from "./faults/load.ts";
import type { Measured } from "./faults/measured.ts";
import type { Scenario } from "./faults/scenario.ts";
import { scenarios } from "./faults/scenarios.ts";

/** Most of a scenario is waiting, so some share the machine. */
const AT_ONCE = 4;

/** The kills among the scenarios, which close a TLS connection otherwise than a plain one. */
const overTls = scenarios
  .filter(({ name }) => ["idle-kill", "transaction", "closing"].includes(name))
  .map((scenario): Scenario => ({
    ...scenario,
    fault: `${scenario.fault}, over TLS`,
    tls: true,
  }));

const played = [...scenarios, ...overTls];

Deno.test("No event is lost, doubled or left hanging, whatever breaks", async (t) => {
  await playAll(t, played, recordUnder);
});

Deno.test("No INCR runs twice in silence, whatever breaks", async (t) => {
  const those = played.filter(({ recorderOnly }) => !recorderOnly);
  await playAll(t, those, incrUnder);
});

async function playAll(
  t: Deno.TestContext,
  scenarios: readonly Scenario[],
  play: (scenario: Scenario, form: Form) => Promise<Measured>,
): Promise<void> {
  const left = [...scenarios];
  const playNext = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const scenario = next;
      await t.step({
        name: scenario.fault,
        fn: async () => {
          const { misses } = await play(scenario, QUICK);
          assertEquals(misses, []);
        },
        // Steps at once would see each other's sockets; the test sees them all.
        sanitizeOps: false,
        sanitizeResources: false,
        sanitizeExit: false,
      });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, playNext));
}
