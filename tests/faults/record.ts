// Events through a recorder under a fault, and what is in the set afterwards.
import { KEY } from "./client.ts";
import type { ClientHost } from "./client_host.ts";
import { runInSubprocess } from "./subprocess.ts";
import type { LoadProfile } from "./load_profile.ts";
import { dueMsOf, eventsOf, measure, type Measured } from "./measured.ts";
import { callAtRate } from "./rate_limiter.ts";
import type { Scenario } from "./scenario.ts";
import { FaultFixture } from "./fixture.ts";

const PAGE = 10_000;
/** How long delivering may take once the load is over. */
const PATIENCE_MS = 8000;

/** Runs a scenario against `WebhookRecorder.record`. */
export async function recordUnder(
  scenario: Scenario,
  profile: LoadProfile,
  host?: ClientHost,
): Promise<Measured> {
  const { subprocess } = scenario;
  if (subprocess) {
    return await runInSubprocess(
      { ...scenario, subprocess },
      "record",
      profile,
      host,
    );
  }
  await using fixture = await FaultFixture.start(scenario, profile, host);
  const { client } = fixture;
  const { count = 1 } = scenario;
  const events = eventsOf(scenario, profile);
  const outcomes: (string | undefined)[] = [];
  let thrown = 0;
  const stop = new AbortController();
  fixture.stopLoad = () => stop.abort();

  fixture.loadStartedAt = performance.now();
  const [timings] = await Promise.all([
    callAtRate({
      calls: events,
      dueMs: dueMsOf(scenario, profile),
      inFlight: profile.inFlight,
      hangMs: profile.hangMs,
      stop: stop.signal,
    }, async (number) => {
      try {
        outcomes[number] = await client.record(number, count);
      } catch (error) {
        thrown++;
        fixture.violate(`record() has thrown: ${error}`);
      }
    }),
    scenario.run(fixture),
  ]);
  const left = await client.flush(PATIENCE_MS);
  if (left > 0) fixture.violate(`${left} events wait in the outbox`);
  const { emptySince, backAt = NaN } = fixture;
  const catchUpMs = emptySince === undefined
    ? NaN
    : Math.max(0, emptySince - backAt);
  await scenario.inspect?.(fixture);

  const found = await membersOf(fixture);
  const expected = Array.from(
    { length: stop.signal.aborted ? timings.length : events },
    (_, event) => Array.from({ length: count }, (_, i) => `${event}:${i + 1}`),
  );
  const present = expected.map((members) => members.every((m) => found.has(m)));
  const mayBeMissing = (event: number) =>
    scenario.demands?.mayDrop && outcomes[event] === "dropped";
  const missing = expected
    .filter((_, event) => !mayBeMissing(event))
    .flat().filter((member) => !found.has(member));
  const known = expected.flat().filter((member) => found.has(member));
  const failed = outcomes.filter((o) => o !== "recorded").length;
  const dishonest =
    outcomes.filter((outcome, event) =>
      outcome === "recorded" && !present[event]
    ).length;
  const queued = outcomes.filter((o) => o === "queued").length;
  if (scenario.demands?.queues && queued === 0) {
    fixture.violate("no event has waited in the outbox");
  }
  if (dishonest > 0) {
    fixture.violate(`${dishonest} events are called recorded and are not`);
  }
  const { failedEvents } = fixture;
  if (failedEvents < failed) {
    fixture.violate(`onError got ${failedEvents} of ${failed} failures`);
  }
  return measure(scenario, fixture, timings, {
    missing: missing.length,
    errors: outcomes.filter((o) => o === "dropped").length + thrown,
    queued,
    doubled: found.size - known.length,
    catchUpMs,
  });
}

async function membersOf({ truth }: FaultFixture): Promise<Set<string>> {
  const found = new Set<string>();
  for (let start = 0;; start += PAGE) {
    const page = await truth.cli("ZRANGE", KEY, start, start + PAGE - 1);
    if (page === "") return found;
    for (const member of page.split("\n")) found.add(member);
  }
}
