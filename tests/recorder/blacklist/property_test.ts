// The blacklist against a model: no more than the limit are let through, no shop is blocked without a reason, and no block is overlooked.
import "../../support/strict.ts";
import { assertEquals, assertGreater } from "@std/assert";
import { delay } from "@std/async/delay";
import {
  Blacklist,
  type Command,
  Redis,
  type SendOptions,
  type Shop,
  WebhookRecorder,
} from "../../../mod.ts";
import { Random, searchLength } from "../../support/random.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";
import { Counting } from "../doubles.ts";

const LENGTH_MS = searchLength(4000);
const PROCESSES = 4;
const MALLS = 12;
const SHOPS = 3;
/** How late an answer of this process may be, on a busy machine. */
const SLACK_MS = 400;

/** Something that was done: when it was begun and when it was over, in milliseconds since 1970. */
interface Span {
  readonly from: number;
  to: number;
}

interface Decided extends Span {
  readonly process: number;
  readonly score: number;
  readonly isRecorded: boolean;
  readonly isBlocked: boolean;
}

/** A block or a pardon on its way to Redis. */
interface Write extends Span {
  readonly process: number;
  /** The end of a block. */
  readonly until: number | undefined;
  /** After which second events count, of a pardon. */
  readonly countedFrom: number;
  readonly isManual: boolean;
}

/** The options of a mall's blacklists, one in each process. */
interface Rules {
  readonly limit: number;
  readonly windowSeconds: number;
  readonly blockSeconds: number;
  readonly isKnownForMs: number;
}

const second = (ms: number): number => Math.floor(ms / 1000);

/** All that was done to one shop, and what is wrong with it. */
class History {
  readonly events: Decided[] = [];
  readonly writes: Write[] = [];
  readonly #rules: Rules;

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  get #pardons(): Write[] {
    return this.writes.filter(({ until }) => until === undefined);
  }

  get #blocks(): (Write & { readonly until: number })[] {
    return this.writes.flatMap((write) =>
      write.until === undefined ? [] : [{ ...write, until: write.until }]
    );
  }

  faults(): string[] {
    return [
      ...this.#tooMany(),
      ...this.#unfounded(),
      ...this.#unexplained(),
      ...this.#overlooked(),
    ].map((fault) => `${fault}; ${JSON.stringify(this.#rules)}`);
  }

  /** In each window no more than the limit are let through. Where the shop was let through by hand, that begins anew. */
  #tooMany(): string[] {
    const { limit, windowSeconds } = this.#rules;
    const allowed = this.events.filter(({ isBlocked }) => !isBlocked);
    const pardons = this.#pardons;
    return [-Infinity, ...pardons.map(({ to }) => to)].flatMap((from) => {
      const next = pardons.filter((pardon) => pardon.to > from);
      const until = Math.min(...next.map((pardon) => pardon.from), Infinity);
      const counted = allowed.filter((event) =>
        event.from > from && event.to < until
      );
      const ends = new Set(counted.map(({ score }) => score));
      return [...ends].flatMap((end) => {
        const inWindow = counted.filter(({ score }) =>
          score > end - windowSeconds && score <= end
        );
        // Counted in a later second than its own, by a window that begins later.
        const late = inWindow.filter(({ score, to }) => second(to) > score);
        return inWindow.length <= limit + late.length
          ? []
          : [`${inWindow.length} let through in the window to ${end}`];
      });
    });
  }

  /** An automatic block is written for an event that really is one too many. */
  #unfounded(): string[] {
    const { limit, windowSeconds } = this.#rules;
    return this.#blocks.filter(({ isManual }) => !isManual).flatMap((block) => {
      const causes = this.events.filter(({ process, from, to, isBlocked }) =>
        process === block.process && from <= block.from && block.to <= to &&
        isBlocked
      );
      const counts = causes.map((event) => {
        const pardon = this.#pardonOf(event);
        const after = Math.max(
          second(event.from) - windowSeconds,
          pardon?.countedFrom ?? -Infinity,
        );
        return this.events.filter(({ isRecorded, score, from }) =>
          isRecorded && score > after && from <= event.to
        ).length;
      });
      return counts.some((count) => count > limit)
        ? []
        : [`blocked for ${counts} events at ${block.from}`];
    });
  }

  /** The last pardon before an event. A block by hand takes it back. */
  #pardonOf(event: Decided): Write | undefined {
    return this.#pardons.findLast((pardon) =>
      pardon.to < event.from &&
      !this.writes.some(({ isManual, from, to }) =>
        isManual && to >= pardon.from && from <= event.to
      )
    );
  }

  /** What is blocked was blocked before, and was not let through since. */
  #unexplained(): string[] {
    const { isKnownForMs } = this.#rules;
    const isExplained = (event: Decided): boolean =>
      this.#blocks.some((block) =>
        block.from <= event.to && event.from <= block.until + SLACK_MS &&
        !this.#pardons.some(({ from, to }) =>
          block.to < from && to + isKnownForMs + SLACK_MS < event.from
        )
      );
    return this.events
      .filter((event) => event.isBlocked && !isExplained(event))
      .map(({ from }) => `blocked without a reason at ${from}`);
  }

  /** While a block is in force, no event is let through. */
  #overlooked(): string[] {
    return this.#blocks.flatMap((block) => {
      // Not to the millisecond: the key expires by the server's clock.
      const isDuring = ({ from, to }: Span) =>
        from > block.to && to < block.until - 10;
      const isEnded = (by: number) =>
        this.writes.some(({ from, to, until = 0 }) =>
          until < block.until && to >= block.from && from <= by
        );
      return this.events
        .filter((event) =>
          !event.isBlocked && isDuring(event) && !isEnded(event.to)
        )
        .map(({ from }) =>
          `let through at ${from}, blocked from ${block.from} to ${block.until}`
        );
    });
  }
}

/** The client of one process, which notes the blocks and pardons that are written. */
class Noting extends Counting {
  readonly #note: (command: Command) => Span | undefined;

  constructor(redis: Redis, note: (command: Command) => Span | undefined) {
    super(redis);
    this.#note = note;
  }

  override async pipeline(
    commands: readonly Command[],
    options?: SendOptions,
  ) {
    const spans = commands.map(this.#note);
    const replies = await super.pipeline(commands, options);
    for (const span of spans) {
      if (span !== undefined) span.to = Date.now();
    }
    return replies;
  }
}

/** The blacklists of one mall, by process. */
interface Mall {
  readonly mallId: string;
  /** Whether its shops are blocked and let through by hand, too. */
  readonly hasHands: boolean;
  readonly blacklists: readonly Blacklist[];
}

class Play implements AsyncDisposable {
  readonly #random: Random;
  readonly #resources = new AsyncDisposableStack();
  readonly #histories = new Map<string, History>();
  readonly #malls: readonly Mall[];

  constructor(random: Random, server: RedisServer) {
    this.#random = random;
    const recorders = Array.from({ length: PROCESSES }, (_, process) => {
      const redis = new Redis(server.url, { maxConnections: 2 });
      const sender = new Noting(
        redis,
        (command) => this.#note(process, command),
      );
      const recorder = new WebhookRecorder(sender, { retentionSeconds: 60 });
      this.#resources.use(redis);
      return this.#resources.use(recorder);
    });
    this.#malls = Array.from({ length: MALLS }, (_, i) => {
      const rules: Rules = {
        limit: 1 + random.below(12),
        windowSeconds: 1 + random.below(3),
        blockSeconds: 1 + random.below(2),
        isKnownForMs: random.pick([0, 50, 1000]),
      };
      for (let shopNo = 0; shopNo < SHOPS; shopNo++) {
        this.#histories.set(
          `webhook_blocked_m${i}_${shopNo}`,
          new History(rules),
        );
      }
      return {
        mallId: `m${i}`,
        hasHands: i % 2 === 1,
        blacklists: recorders.map((recorder) => new Blacklist(recorder, rules)),
      };
    });
  }

  get histories(): History[] {
    return [...this.#histories.values()];
  }

  #note(process: number, [name, key, value]: Command): Span | undefined {
    if (name !== "SET") return undefined;
    const { until, countedFrom, isManual = false } = JSON.parse(`${value}`);
    const span = { from: Date.now(), to: Infinity };
    const write = { process, until, countedFrom, isManual, ...span };
    this.#histories.get(`${key}`)!.writes.push(write);
    return write;
  }

  async play(): Promise<void> {
    const endsAt = performance.now() + LENGTH_MS;
    await Promise.all(
      this.#malls.flatMap((mall) =>
        mall.blacklists.map(async (_, process) => {
          while (performance.now() < endsAt) {
            await this.#act(mall, process);
            await delay(this.#random.below(150));
          }
        })
      ),
    );
  }

  async #act(mall: Mall, process: number): Promise<void> {
    const random = this.#random;
    const shop: Shop = { mallId: mall.mallId, shopNo: random.below(SHOPS) };
    const blacklist = mall.blacklists[process]!;
    if (mall.hasHands && random.oneIn(25)) {
      return await blacklist.block(shop, { seconds: 1 + random.below(2) });
    }
    if (mall.hasHands && random.oneIn(15)) return await blacklist.unblock(shop);
    const { events } = this.#histories.get(
      `webhook_blocked_${shop.mallId}_${shop.shopNo}`,
    )!;
    const burst = random.oneIn(5) ? 1 + random.below(6) : 1;
    await Promise.all(Array.from({ length: burst }, async () => {
      const from = Date.now();
      const event = { ...shop, eventType: "e", receivedAt: from };
      const { outcome, isBlocked } = await blacklist.record(event);
      events.push({
        from,
        to: Date.now(),
        process,
        score: second(from),
        isRecorded: outcome !== undefined,
        isBlocked,
      });
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

Deno.test(
  "Many processes block no shop below its limit, let no more through above it, and overlook no block",
  {
    timeout: 60_000 + 2 * LENGTH_MS,
  },
  async () => {
    await using server = await startRedis();
    await using play = new Play(new Random(), server);
    await play.play();
    const { histories } = play;
    const events = histories.flatMap(({ events }) => events);
    const blocked = events.filter(({ isBlocked }) => isBlocked).length;
    const writes = histories.flatMap(({ writes }) => writes).length;
    console.log(
      `${events.length} events, ${blocked} blocked, ${writes} writes`,
    );
    assertGreater(blocked, 0);
    assertGreater(events.length, blocked);
    assertEquals(histories.flatMap((history) => history.faults()), []);
  },
);
