// That each event accepted has one end, whatever happens to several servers meanwhile.
import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { type RecordErrorInfo, WebhookRecorder } from "../../mod.ts";
import { Random, searchLength } from "../support/random.ts";
import { Fleet, type Mood } from "./fleet.ts";
import { OUTCOMES } from "./doubles.ts";

const RUNS = searchLength(15);
const STEPS = 60;
const SERVERS = 4;
const SHOPS = 12;
/** Its key is no sorted set. */
const WRONG_SHOP = 7;
const MOODS: readonly Mood[] = ["gone", "silent", "deaf", "down", "moving"];
const keyOf = (shopNo: number): string =>
  `${shopNo === WRONG_SHOP ? "wrong" : "set"}_${shopNo}_e`;

/** An event that was accepted, and all that was said of it. */
interface Accepted {
  readonly shopNo: number;
  readonly members: string[];
  readonly told: RecordErrorInfo["status"][];
  status?: string;
}

/** One round of random events, outages, partial failures and failovers. */
class Round {
  readonly #random: Random;
  readonly #fleet = new Fleet(SERVERS);
  readonly #accepted: Accepted[] = [];
  readonly #recording: Promise<void>[] = [];
  readonly #recorder: WebhookRecorder;
  #making: Accepted | undefined;
  #made = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#recorder = new WebhookRecorder(this.#fleet, {
      keyOf: ({ shopNo }) => keyOf(shopNo),
      newMember: () => {
        const member = `m${this.#made++}`;
        this.#making!.members.push(member);
        return member;
      },
      outboxCapacity: random.pick([0, 30, 10_000]),
      repeatAfterFailoverMs: 1_000_000, // whatever a replica lacks
      ...(random.oneIn(2) ? { retentionSeconds: 100_000 } : {}),
      ...(random.oneIn(2) ? { deadlineMs: 30 } : {}),
      onError: (_error, { status, context: { score } }) =>
        this.#accepted[score]!.told.push(status),
    });
  }

  #record(): void {
    const event: Accepted = {
      shopNo: this.#random.below(SHOPS),
      members: [],
      told: [],
    };
    const receivedAt = this.#accepted.length * 1000; // the score is its number
    this.#accepted.push(event);
    this.#making = event;
    const what = {
      mallId: "m",
      eventType: "e",
      shopNo: event.shopNo,
      receivedAt,
    };
    this.#recording.push(
      this.#recorder.record(what, 1 + this.#random.below(3)).then(
        ({ status }) => void (event.status = status),
      ),
    );
  }

  #fault(): void {
    const shard = this.#random.below(SERVERS);
    const server = this.#fleet.primaries[shard]!;
    if (this.#random.oneIn(3)) return server.become("well");
    if (this.#random.oneIn(2)) return server.become(this.#random.pick(MOODS));
    const to = this.#fleet.promote(shard, {
      lacking: this.#random.below(20),
    });
    if (this.#random.oneIn(4)) to.become("down");
    // What it has run and not answered is answered now, or never.
    server.become(this.#random.pick(["well", "gone", "deaf"]));
  }

  async play(): Promise<string[]> {
    for (let step = 0; step < STEPS; step++) {
      const burst = this.#random.oneIn(2) ? this.#random.below(40) : 1;
      for (let i = 0; i < burst; i++) this.#record();
      if (this.#random.oneIn(3)) this.#fault();
      await delay(this.#random.below(8));
    }
    const givesUp = this.#random.oneIn(3);
    if (!givesUp) {
      for (const one of this.#fleet.primaries) {
        one.become("well");
      }
    }
    await this.#recorder.close({ drainMs: givesUp ? 50 : 20_000 });
    await Promise.all(this.#recording);
    return [...this.#faults(givesUp)];
  }

  *#faults(gaveUp: boolean): Iterable<string> {
    const { recorded, dropped, queued, sent, pending, repeated } = this
      .#recorder
      .stats();
    let expected = 0;
    for (const [number, event] of this.#accepted.entries()) {
      const { shopNo, members, told, status } = event;
      expected += members.length;
      const says = (what: string) =>
        `event ${number} of shop ${shopNo}, ${status}: ${what}`;
      const path = [status, ...told].join(" ");
      const isLost = path.endsWith("dropped");
      if (!OUTCOMES.includes(path)) yield says(`told ${path}`);
      if (shopNo === WRONG_SHOP && !isLost) yield says("was not lost");
      // A replica may lack what could not be repeated any more.
      if (isLost || gaveUp) continue;
      const set = this.#fleet.primaries[shopNo % SERVERS]!.members(
        keyOf(shopNo),
      );
      for (const member of members) {
        if (set.get(member) !== number) yield says(`${member} is missing`);
      }
    }
    const known = new Set(this.#accepted.flatMap(({ members }) => members));
    let kept = 0;
    for (const { sets } of this.#fleet.primaries) {
      for (const set of sets.values()) {
        kept += set.size;
        for (const member of set.keys()) {
          if (!known.has(member)) yield `${member} belongs to no event`;
        }
      }
    }
    if (kept > expected) yield `${kept} members of ${expected}`;
    if (recorded + dropped !== expected || pending !== 0 || sent > queued) {
      yield `of ${expected}: ${recorded} recorded, ${dropped} dropped, ${pending} pending`;
    }
    if (this.#fleet.listeners !== 0) yield "still listens";
    seen.recorded += recorded;
    seen.dropped += dropped;
    seen.sent += sent;
    seen.repeated += repeated;
  }
}

/** Over all rounds, to see that each way was taken. */
const seen = { recorded: 0, dropped: 0, sent: 0, repeated: 0 };

Deno.test(
  "Each event ends once, and is where its outcome says, under random outages of single servers, partial failures and failovers",
  { timeout: 180_000 },
  async () => {
    const random = new Random();
    for (let run = 0; run < RUNS; run++) {
      assertEquals(await new Round(random).play(), []);
    }
    assertEquals(Object.values(seen).filter((count) => count === 0), []);
  },
);
