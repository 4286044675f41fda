// INCR under a fault: what may not be sent twice, and whether errors say the truth about it.
import { type Fate, fateOf } from "../../mod.ts";
import { playAlone } from "./alone.ts";
import type { Form } from "./form.ts";
import { dueMsOf, eventsOf, measure, type Measured } from "./measured.ts";
import { pace } from "./pace.ts";
import type { Scenario } from "./scenario.ts";
import { Stage } from "./stage.ts";

/** What a call came to: it succeeded, or it failed and said this about its command. */
type Claim = "success" | Fate;

const KEYS_AT_ONCE = 1000;

/** A row, and how its calls ended. */
export interface MeasuredIncr extends Measured {
  readonly claims: Readonly<Record<Claim, number>>;
  /** Failed calls whose fate was unknown, and that had run. */
  readonly ranUnknown: number;
}

/**
 * Plays a scenario against `Redis.send`, with a counter of its own for each
 * call: how often each ran can be told, not only how many.
 */
export async function incrUnder(
  scenario: Scenario,
  form: Form,
): Promise<MeasuredIncr> {
  const { alone } = scenario;
  if (alone) return await playAlone({ ...scenario, alone }, "INCR", form);
  await using stage = await Stage.set(scenario, form);
  const { redis } = stage;
  const events = eventsOf(scenario, form);
  const ended: (Claim | undefined)[] = [];
  const stop = new AbortController();
  stage.drain = async () => {
    stop.abort();
    await redis.close();
  };

  stage.loadStartedAt = performance.now();
  const [timings] = await Promise.all([
    pace({
      calls: events,
      dueMs: dueMsOf(scenario, form),
      inFlight: form.inFlight,
      hangMs: form.hangMs,
      stop: stop.signal,
    }, async (number) => {
      try {
        const reply = await redis.send(["INCR", `incr:${number}`]);
        ended[number] = "success";
        if (reply !== 1) {
          stage.complain(`INCR answered ${Deno.inspect(reply)}, not 1`);
        }
      } catch (error) {
        ended[number] = fateOf(error);
      }
    }),
    scenario.play(stage),
  ]);
  await scenario.inspect?.(stage);

  const runs = await countersOf(stage, timings.length);
  const those = (test: (claim: Claim | undefined, runs: number) => boolean) =>
    runs.filter((n, call) => test(ended[call], n)).length;
  const lost = those((claim, n) => claim === "success" && n === 0);
  const lies = those((claim, n) => claim === "unsent" && n > 0);
  if (lies > 0) {
    stage.complain(`${lies} commands ran whose fate was "unsent"`);
  }
  const idle = those((claim, n) => claim === "executed" && n === 0);
  if (idle > 0) {
    stage.complain(`${idle} commands never ran whose fate was "executed"`);
  }
  const claims: Record<Claim, number> = {
    success: those((claim) => claim === "success"),
    unsent: those((claim) => claim === "unsent"),
    executed: those((claim) => claim === "executed"),
    unknown: those((claim) => claim === "unknown"),
  };
  const total = runs.reduce((sum, n) => sum + n, 0);
  if (total > claims.success + claims.unknown) {
    stage.complain(
      `the counters sum up to ${total}, there were ${claims.success} successes and ${claims.unknown} unknown fates`,
    );
  }
  const { demands = {} } = scenario;
  // Who met a dead connection may fail, but must not call it anything else.
  const needless = claims.unsent + claims.executed +
    (stage.hits.length === 0 ? claims.unknown : 0);
  if (demands.nobodyFails && needless > 0) {
    stage.complain(`${needless} calls failed that could have succeeded`);
  }
  return {
    ...measure(
      { ...scenario, demands: { ...demands, nobodyFails: false } },
      stage,
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
async function countersOf(stage: Stage, calls: number): Promise<number[]> {
  const counters: number[] = [];
  while (counters.length < calls) {
    const { length } = counters;
    const keys = Array.from(
      { length: Math.min(KEYS_AT_ONCE, calls - length) },
      (_, i) => `incr:${length + i}`,
    );
    const values = await stage.truth.cli("MGET", ...keys);
    counters.push(...values.split("\n").map(Number));
  }
  return counters;
}
