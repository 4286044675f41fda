// INCR under a fault: a command that must not run twice, and whether the fate in each error is true.
import { fateOf } from "../../mod.ts";
import type { Claim } from "./client.ts";
import type { ClientHost } from "./client_host.ts";
import { runInSubprocess } from "./subprocess.ts";
import type { LoadProfile } from "./load_profile.ts";
import { dueMsOf, eventsOf, measure, type Measured } from "./measured.ts";
import { callAtRate } from "./rate_limiter.ts";
import type { Scenario } from "./scenario.ts";
import { FaultFixture } from "./fixture.ts";

const KEYS_AT_ONCE = 1000;

/** A row, and how its calls ended. */
export interface MeasuredIncr extends Measured {
  readonly claims: Readonly<Record<Claim, number>>;
  /** Failed calls whose fate was unknown, and that had run. */
  readonly ranUnknown: number;
}

/**
 * Runs a scenario against `Redis.send`. Each call has a counter of its own,
 * which shows how often that call ran.
 */
export async function incrUnder(
  scenario: Scenario,
  profile: LoadProfile,
  host?: ClientHost,
): Promise<MeasuredIncr> {
  const { subprocess } = scenario;
  if (subprocess) {
    return await runInSubprocess(
      { ...scenario, subprocess },
      "INCR",
      profile,
      host,
    );
  }
  await using fixture = await FaultFixture.start(scenario, profile, host);
  const { client } = fixture;
  const events = eventsOf(scenario, profile);
  const ended: (Claim | undefined)[] = [];
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
        const reply = await client.incr(`incr:${number}`);
        ended[number] = "success";
        if (reply !== 1) {
          fixture.violate(`INCR answered ${Deno.inspect(reply)}, not 1`);
        }
      } catch (error) {
        ended[number] = fateOf(error);
      }
    }),
    scenario.run(fixture),
  ]);
  await scenario.inspect?.(fixture);

  const runs = await countersOf(fixture, timings.length);
  const those = (test: (claim: Claim | undefined, runs: number) => boolean) =>
    runs.filter((n, call) => test(ended[call], n)).length;
  const lost = those((claim, n) => claim === "success" && n === 0);
  const lies = those((claim, n) => claim === "unsent" && n > 0);
  if (lies > 0) {
    fixture.violate(`${lies} commands ran whose fate was "unsent"`);
  }
  const idle = those((claim, n) => claim === "executed" && n === 0);
  if (idle > 0) {
    fixture.violate(`${idle} commands never ran whose fate was "executed"`);
  }
  const claims: Record<Claim, number> = {
    success: those((claim) => claim === "success"),
    unsent: those((claim) => claim === "unsent"),
    executed: those((claim) => claim === "executed"),
    unknown: those((claim) => claim === "unknown"),
  };
  const total = runs.reduce((sum, n) => sum + n, 0);
  if (total > claims.success + claims.unknown) {
    fixture.violate(
      `the counters sum up to ${total}, there were ${claims.success} successes and ${claims.unknown} unknown fates`,
    );
  }
  const { demands = {} } = scenario;
  // A call that met a dead connection may fail, with the fate "unknown" only.
  const needless = claims.unsent + claims.executed +
    (fixture.hits.length === 0 ? claims.unknown : 0);
  if (demands.noneFails && needless > 0) {
    fixture.violate(`${needless} calls failed that could have succeeded`);
  }
  return {
    ...measure(
      { ...scenario, demands: { ...demands, noneFails: false } },
      fixture,
      timings,
      {
        missing: lost,
        errors: timings.length - claims.success,
        queued: 0,
        doubled: those((_, n) => n > 1),
        catchUpMs: NaN,
      },
    ),
    claims,
    ranUnknown: those((claim, n) => claim === "unknown" && n > 0),
  };
}

/** How often each call ran. */
async function countersOf(
  fixture: FaultFixture,
  calls: number,
): Promise<number[]> {
  const counters: number[] = [];
  while (counters.length < calls) {
    const { length } = counters;
    const keys = Array.from(
      { length: Math.min(KEYS_AT_ONCE, calls - length) },
      (_, i) => `incr:${length + i}`,
    );
    const values = await fixture.truth.cli("MGET", ...keys);
    counters.push(...values.split("\n").map(Number));
  }
  return counters;
}
