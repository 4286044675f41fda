// Events through a recorder under a fault, and what is in the set afterwards.
import { type RecordOutcome, WebhookRecorder } from "../../mod.ts";
import { playAlone } from "./alone.ts";
import type { Form } from "./form.ts";
import { dueMsOf, eventsOf, measure, type Measured } from "./measured.ts";
import { pace } from "./pace.ts";
import type { Scenario } from "./scenario.ts";
import { Stage } from "./stage.ts";

const EVENT = { mallId: "faults", shopNo: 1, eventType: "orders" };
const KEY = "webhook_frequency_faults_1_orders";
const PAGE = 10_000;
const LOOK_MS = 5;
/** What is queued when the load is over may take this long. */
const PATIENCE_MS = 8000;

/** Plays a scenario against {@linkcode WebhookRecorder.record}. */
export async function recordUnder(
  scenario: Scenario,
  form: Form,
): Promise<Measured> {
  const { alone } = scenario;
  if (alone) return await playAlone({ ...scenario, alone }, "record", form);
  await using stage = await Stage.set(scenario, form);
  const { redis } = stage;
  const { count = 1 } = scenario;
  const events = eventsOf(scenario, form);
  const outcomes: (RecordOutcome | undefined)[] = [];
  let reported = 0;
  let thrown = 0;

  // A member says which event it belongs to and which of its members it is,
  // so that one that is remade shows, even where another is missing.
  let event = 0;
  let made: number[] = [];
  const recorder = new WebhookRecorder(redis, {
    newMember: () => `${event}:${made[event] = (made[event] ?? 0) + 1}`,
    onError: () => reported++,
  });
  const stop = new AbortController();
  stage.drain = async () => {
    stop.abort();
    await recorder[Symbol.asyncDispose]();
    await redis.close();
  };
  const watch = new Watch(stage, recorder);

  stage.loadStartedAt = performance.now();
  const [timings] = await Promise.all([
    pace({
      calls: events,
      dueMs: dueMsOf(scenario, form),
      inFlight: form.inFlight,
      hangMs: form.hangMs,
      stop: stop.signal,
    }, async (number) => {
      event = number;
      try {
        outcomes[number] = await recorder.record(EVENT, count);
      } catch (error) {
        thrown++;
        stage.complain(`record() has thrown: ${error}`);
      }
    }),
    scenario.play(stage),
  ]);
  await recorder.flush({ signal: AbortSignal.timeout(PATIENCE_MS) }).catch(
    () => stage.complain(`${recorder.pending} events wait in the outbox`),
  );
  const catchUpMs = watch.end();
  await scenario.inspect?.(stage);

  made = [];
  const found = await membersOf(stage);
  const expected = Array.from(
    { length: stop.signal.aborted ? timings.length : events },
    (_, event) => Array.from({ length: count }, (_, i) => `${event}:${i + 1}`),
  );
  const present = expected.map((members) => members.every((m) => found.has(m)));
  const missing = expected.flat().filter((member) => !found.has(member));
  const failed = outcomes.filter((o) => o!.status !== "recorded").length;
  const dishonest =
    outcomes.filter((outcome, event) =>
      outcome?.status === "recorded" && !present[event]
    ).length;
  const queued = outcomes.filter((o) => o?.status === "queued").length;
  if (scenario.demands?.queues && queued === 0) {
    stage.complain("no event has waited in the outbox");
  }
  if (dishonest > 0) {
    stage.complain(`${dishonest} events are called recorded and are not`);
  }
  if (reported < failed) {
    stage.complain(`onError was told of ${reported} of ${failed} failures`);
  }
  return measure(scenario, stage, timings, {
    missing: missing.length,
    errors: outcomes.filter((o) => o?.status === "dropped").length + thrown,
    queued,
    doubled: found.size - (expected.flat().length - missing.length),
    catchUpMs,
  });
}

async function membersOf({ truth }: Stage): Promise<Set<string>> {
  const found = new Set<string>();
  for (let start = 0;; start += PAGE) {
    const page = await truth.cli("ZRANGE", KEY, start, start + PAGE - 1);
    if (page === "") return found;
    for (const member of page.split("\n")) found.add(member);
  }
}

/** Sees when the outbox is empty again. */
class Watch {
  readonly #stage: Stage;
  readonly #recorder: WebhookRecorder;
  readonly #timer: ReturnType<typeof setInterval>;
  #emptyAt: number | undefined;
  #held = false;

  constructor(stage: Stage, recorder: WebhookRecorder) {
    this.#stage = stage;
    this.#recorder = recorder;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Milliseconds from the end of the fault until nothing waited; NaN where nothing had. */
  end(): number {
    this.#look();
    clearInterval(this.#timer);
    const { backAt } = this.#stage;
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
