// Events through a recorder under a fault, and what is in the set afterwards.
import { type RecordOutcome, WebhookRecorder } from "../../mod.ts";
import { runInSubprocess } from "./subprocess.ts";
import type { LoadProfile } from "./load_profile.ts";
import { dueMsOf, eventsOf, measure, type Measured } from "./measured.ts";
import { callAtRate } from "./rate_limiter.ts";
import type { Scenario } from "./scenario.ts";
import { FaultFixture } from "./fixture.ts";

const EVENT = { mallId: "faults", shopNo: 1, eventType: "orders" };
const KEY = "webhook_frequency_faults_1_orders";
const PAGE = 10_000;
const LOOK_MS = 5;
/** How long delivering may take once the load is over. */
const PATIENCE_MS = 8000;

/** Runs a scenario against {@linkcode WebhookRecorder.record}. */
export async function recordUnder(
  scenario: Scenario,
  profile: LoadProfile,
): Promise<Measured> {
  const { subprocess } = scenario;
  if (subprocess) {
    return await runInSubprocess(
      { ...scenario, subprocess },
      "record",
      profile,
    );
  }
  await using fixture = await FaultFixture.start(scenario, profile);
  const { redis } = fixture;
  const { count = 1 } = scenario;
  const events = eventsOf(scenario, profile);
  const outcomes: (RecordOutcome | undefined)[] = [];
  let reported = 0;
  let thrown = 0;

  // A member has the number of its event and its own number in it, so that a
  // second member for the same event shows, even where another is missing.
  let event = 0;
  let made: number[] = [];
  const recorder = new WebhookRecorder(redis, {
    newMember: () => `${event}:${made[event] = (made[event] ?? 0) + 1}`,
    onError: () => reported++,
  });
  const stop = new AbortController();
  fixture.drain = async () => {
    stop.abort();
    await recorder[Symbol.asyncDispose]();
    await redis.close();
  };
  const watch = new Watch(fixture, recorder);

  fixture.loadStartedAt = performance.now();
  const [timings] = await Promise.all([
    callAtRate({
      calls: events,
      dueMs: dueMsOf(scenario, profile),
      inFlight: profile.inFlight,
      hangMs: profile.hangMs,
      stop: stop.signal,
    }, async (number) => {
      event = number;
      try {
        outcomes[number] = await recorder.record(EVENT, count);
      } catch (error) {
        thrown++;
        fixture.violate(`record() has thrown: ${error}`);
      }
    }),
    scenario.run(fixture),
  ]);
  await recorder.flush({ signal: AbortSignal.timeout(PATIENCE_MS) }).catch(
    () => fixture.violate(`${recorder.pending} events wait in the outbox`),
  );
  const catchUpMs = watch.end();
  await scenario.inspect?.(fixture);

  made = [];
  const found = await membersOf(fixture);
  const expected = Array.from(
    { length: stop.signal.aborted ? timings.length : events },
    (_, event) => Array.from({ length: count }, (_, i) => `${event}:${i + 1}`),
  );
  const present = expected.map((members) => members.every((m) => found.has(m)));
  const mayBeMissing = (event: number) =>
    scenario.demands?.mayDrop && outcomes[event]?.status === "dropped";
  const missing = expected
    .filter((_, event) => !mayBeMissing(event))
    .flat().filter((member) => !found.has(member));
  const known = expected.flat().filter((member) => found.has(member));
  const failed = outcomes.filter((o) => o!.status !== "recorded").length;
  const dishonest =
    outcomes.filter((outcome, event) =>
      outcome?.status === "recorded" && !present[event]
    ).length;
  const queued = outcomes.filter((o) => o?.status === "queued").length;
  if (scenario.demands?.queues && queued === 0) {
    fixture.violate("no event has waited in the outbox");
  }
  if (dishonest > 0) {
    fixture.violate(`${dishonest} events are called recorded and are not`);
  }
  if (reported < failed) {
    fixture.violate(`onError got ${reported} of ${failed} failures`);
  }
  return measure(scenario, fixture, timings, {
    missing: missing.length,
    errors: outcomes.filter((o) => o?.status === "dropped").length + thrown,
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

/** Measures when the outbox is empty again. */
class Watch {
  readonly #fixture: FaultFixture;
  readonly #recorder: WebhookRecorder;
  readonly #timer: ReturnType<typeof setInterval>;
  #emptyAt: number | undefined;
  #held = false;

  constructor(fixture: FaultFixture, recorder: WebhookRecorder) {
    this.#fixture = fixture;
    this.#recorder = recorder;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Milliseconds from the end of the fault until nothing waited; NaN where nothing had. */
  end(): number {
    this.#look();
    clearInterval(this.#timer);
    const { backAt } = this.#fixture;
    if (!this.#held || backAt === undefined) return NaN;
    return Math.max(0, (this.#emptyAt ?? Infinity) - backAt);
  }

  #look(): void {
    if (this.#recorder.pending > 0) {
      this.#held = true;
      this.#emptyAt = undefined;
    } else this.#emptyAt ??= performance.now();
  }
}
