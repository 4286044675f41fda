// Ours: the policies of this module, run by the code that it runs itself.
import { RetryBudget } from "../../client/retries.ts";
import { EVENT_MS } from "../../client/servers/charge_window.ts";
import { MAX_SOURCES } from "../../client/servers/cluster_servers.ts";
import { DOUBT_MS } from "../../client/servers/doubts.ts";
import { QuestionPacing } from "../../client/servers/lookup.ts";
import { STAGGER_MS } from "../../client/servers/topology_question.ts";
import type { DialPacing } from "../../pool/dialer.ts";
import { BACKLOG_JITTER } from "../../recorder/backlog.ts";
import { CHUNK } from "../../recorder/entries/queue.ts";
import { ExponentialBackoff } from "../../retry/backoff.ts";
import type { Retry } from "../../retry/retry.ts";
import type { Isolate, World } from "./world.ts";

/** What of a `Redis` and its recorder decides when something is tried again. */
export interface OurPolicies {
  /** The policy of each call. */
  readonly retry: Retry;
  /** Whether events are recorded: what fails goes to the outbox. Else by `send`. */
  readonly isRecorder: boolean;
  /** When a server may be dialed again. */
  readonly newDialPacing: () => Pick<
    DialPacing,
    "waitMs" | "failed" | "succeeded"
  >;
}

/** `connectTimeoutMs`. */
const CONNECT_TIMEOUT_MS = 5000;
/** `outboxCapacity`. */
const OUTBOX_CAPACITY = 10_000;
/** Random servers that are looked at for an open connection before all are. */
const LOOKS = 8;

const REFUSED = new Error("connection refused");

/** What waits for a connection. */
interface Waiter {
  /** The connection is open. */
  connected(server: number): void;
  /** It could not be opened, or will not be at the time of `at`. */
  failed(server: number, at: number): void;
}

/** The connection to a server, once it has failed or has to be opened. */
interface Link {
  readonly pacing: ReturnType<OurPolicies["newDialPacing"]>;
  isDialing: boolean;
  /** When the dial that is due will be refused: the server is down at that time. */
  failsAt: number;
  waiters: Waiter[];
}

/** The client of one isolate. */
export class OurIsolate implements Isolate {
  readonly #world: World;
  readonly #policies: OurPolicies;
  readonly #budget = new RetryBudget();
  readonly #isOpen: Uint8Array<ArrayBuffer>; // by server
  readonly #serverOf: Uint16Array<ArrayBuffer>; // by shard
  readonly #links: (Link | undefined)[] = []; // by server
  readonly #charges = new Map<number, { at: number }>(); // by server
  readonly #backlogs: Backlogs | undefined;
  #pacing: QuestionPacing | undefined;
  #doubted = -1;
  #doubtedAt = 0;
  #isWanted = false;
  #isAsking = false;
  #isPausing = false;

  constructor(world: World, policies: OurPolicies) {
    const { shards } = world.size;
    this.#world = world;
    this.#policies = policies;
    this.#isOpen = new Uint8Array(2 * shards);
    this.#serverOf = new Uint16Array(shards);
    for (let shard = 0; shard < shards; shard++) {
      this.#isOpen[2 * shard] = 1;
      this.#serverOf[shard] = 2 * shard;
    }
    this.#backlogs = policies.isRecorder
      ? new Backlogs(world, this)
      : undefined;
  }

  cut(server: number): void {
    this.#isOpen[server] = 0; // the next event dials
  }

  event(shard: number): void {
    const { tally, now } = this.#world;
    const server = this.#serverOf[shard]!;
    const isFilling = this.#backlogs?.isFilling(shard) === true;
    if (!isFilling && this.#isOpen[server] === 1) {
      if (this.#world.reply(server, shard) === "served") return tally.pass();
    }
    tally.hold();
    if (isFilling) return this.#backlogs!.hold(shard);
    this.#attempt(new Call(this, shard, now));
  }

  #attempt(call: Call): void {
    this.connect(this.#serverOf[call.shard]!, call);
  }

  /** Gives a waiter an open connection, or the failure of the next dial. */
  connect(server: number, waiter: Waiter): void {
    if (this.#isOpen[server] === 1) return waiter.connected(server);
    const link = this.#links[server] ??= {
      pacing: this.#policies.newDialPacing(),
      isDialing: false,
      failsAt: -1,
      waiters: [],
    };
    if (!link.isDialing && link.failsAt <= this.#world.now) {
      this.#dial(server, link);
    }
    if (link.isDialing) link.waiters.push(waiter);
    else waiter.failed(server, link.failsAt);
  }

  /** The server now in charge of a shard. */
  serverOf(shard: number): number {
    return this.#serverOf[shard]!;
  }

  /** The first dial that the pacing allows. */
  #dial(server: number, link: Link): void {
    const { now, servers, agenda } = this.#world;
    const at = now + Math.max(0, link.pacing.waitMs(now));
    if (servers[server]!.isUp(at)) {
      link.isDialing = true;
      agenda.at(at, () => this.#dialNow(server, link));
      return;
    }
    // Refused, whatever happens until then.
    servers[server]!.dials.count(at);
    link.failsAt = at;
    link.pacing.failed(
      { now: at, wasCut: false, isAnyOpen: false },
    );
  }

  #dialNow(server: number, link: Link): void {
    const { agenda, now } = this.#world;
    const openAt = this.#world.dial(server, CONNECT_TIMEOUT_MS);
    agenda.at(openAt ?? now + CONNECT_TIMEOUT_MS, () => {
      const at = this.#world.now;
      const isOpen = openAt !== undefined &&
        this.#world.servers[server]!.isUp(at);
      link.isDialing = false;
      const waiters = link.waiters.splice(0);
      if (isOpen) {
        this.#isOpen[server] = 1;
        link.pacing.succeeded();
        for (const waiter of waiters) waiter.connected(server);
      } else {
        link.pacing.failed({ now: at, wasCut: false, isAnyOpen: false });
        for (const waiter of waiters) waiter.failed(server, at);
      }
    });
  }

  /** Sends an event of a call. */
  send(call: Call, server: number): void {
    const { shard } = call;
    const { tally, now } = this.#world;
    const answer = this.#world.reply(server, shard);
    if (answer === "served") {
      this.#budget.earn();
      tally.serve(now, call.startedAt);
      return tally.answer(now, call.startedAt);
    }
    this.doubt(server);
    if (answer === "moved") {
      this.moved(shard);
      return this.#attempt(call);
    }
    this.fail(call, this.#chargeFor(server));
  }

  /** A redirect has said where a shard is. */
  moved(shard: number): void {
    const server = this.#world.primaryOf(shard);
    if (this.#serverOf[shard] === server) return;
    this.#serverOf[shard] = server;
    this.#backlogs?.startOver(shard);
  }

  /** An attempt of a call has failed. */
  fail(call: Call, charge?: object): void {
    const { now, agenda, tally } = this.#world;
    const elapsedMs = now - call.startedAt;
    const next = this.#policies.retry.next(call.retries, REFUSED, elapsedMs);
    const isOver = typeof next === "string" ||
      (charge !== undefined && !this.#budget.spend(charge));
    if (!isOver) {
      call.retries++;
      tally.retries++;
      agenda.at(now + next, () => this.#attempt(call));
      return;
    }
    tally.answer(now, call.startedAt);
    if (this.#backlogs === undefined) tally.lose(now, call.startedAt);
    else this.#backlogs.hold(call.shard);
  }

  #chargeFor(server: number): object {
    const { now } = this.#world;
    let charge = this.#charges.get(server);
    if (charge === undefined || now - charge.at >= EVENT_MS) {
      this.#charges.set(server, charge = { at: now });
    }
    return charge;
  }

  /** Does something at a time that may be now. */
  later(at: number, task: () => void): void {
    if (at <= this.#world.now) task();
    else this.#world.agenda.at(at, task);
  }

  /** A server may have been replaced: asks, at once or as soon as the pause allows. */
  doubt(server: number): void {
    this.#doubted = server;
    this.#doubtedAt = this.#world.now;
    if (this.#serverOf.length > 1) this.#want(); // one server is no cluster
  }

  #want(): void {
    this.#isWanted = true;
    this.#ask();
  }

  #ask(): void {
    if (!this.#isWanted || this.#isAsking || this.#isPausing) return;
    const { now, agenda, chance } = this.#world;
    this.#pacing ??= new QuestionPacing(chance.random);
    const waitMs = this.#pacing.waitMs(now);
    if (waitMs > 0) {
      this.#isPausing = true;
      agenda.at(now + waitMs, () => {
        this.#isPausing = false;
        this.#ask();
      });
      return;
    }
    this.#isWanted = false;
    this.#isAsking = true;
    const server = this.#anyOpen();
    if (server !== undefined) this.#askOf(server, () => this.#learn());
    else this.#askClosed();
  }

  #askOf(server: number, then: () => void): void {
    const { agenda, now, servers } = this.#world;
    agenda.at(servers[server]!.ask(now), then);
  }

  /** A server with an open connection. */
  #anyOpen(): number | undefined {
    const { chance } = this.#world;
    const { length } = this.#isOpen;
    const first = chance.below(length);
    for (let n = 0; n < LOOKS + length; n++) {
      const server = n < LOOKS
        ? chance.below(length)
        : (first + n - LOOKS) % length;
      if (this.#isOpen[server] === 1 && server !== this.#doubted) return server;
    }
    return undefined;
  }

  /** Asks known servers and the seeds, one after the other and one beside the other where they take long. */
  #askClosed(): void {
    const { chance, seeds, agenda, size, servers } = this.#world;
    const known = Array.from(
      { length: MAX_SOURCES },
      () => chance.below(2 * size.shards),
    );
    const sources = [...new Set([...known, ...seeds])];
    let started = 0;
    let failed = 0;
    let isOver = false;
    const end = (isAnswered: boolean) => {
      if (isOver) return;
      isOver = true;
      this.#learn(isAnswered);
    };
    const startNext = (): void => {
      if (isOver || started === sources.length) return;
      const source = sources[started++]!;
      const number = started;
      const server = servers[source]!;
      if (this.#links[source] === undefined && !server.isUp(this.#world.now)) {
        // Its first dial, which has no pause; the next one hardly ever comes within it.
        server.dials.count(this.#world.now);
        if (++failed === sources.length) end(false);
        else startNext();
        return;
      }
      this.connect(source, {
        connected: (server) => this.#askOf(server, () => end(true)),
        failed: (_server, at) =>
          this.later(at, () => {
            if (++failed === sources.length) end(false);
            else startNext();
          }),
      });
      agenda.at(this.#world.now + STAGGER_MS, () => {
        if (started === number) startNext();
      });
    };
    startNext();
  }

  /** Takes the topology; a doubt that it has not settled is followed by the next question. */
  #learn(isAnswered = true): void {
    const { now } = this.#world;
    if (isAnswered) {
      for (let shard = 0; shard < this.#serverOf.length; shard++) {
        this.moved(shard);
      }
    }
    this.#isAsking = false;
    this.#pacing!.ended(now, isAnswered);
    const isSettled = this.#isOpen[this.#doubted] === 1 ||
      this.#serverOf[this.#doubted >> 1] !== this.#doubted;
    if (isSettled || now - this.#doubtedAt > DOUBT_MS) this.#ask();
    else this.#want();
  }
}

/** The first attempts of an event. */
class Call implements Waiter {
  readonly #isolate: OurIsolate;
  readonly shard: number;
  readonly startedAt: number;
  retries = 0;

  constructor(isolate: OurIsolate, shard: number, startedAt: number) {
    this.#isolate = isolate;
    this.shard = shard;
    this.startedAt = startedAt;
  }

  connected(server: number): void {
    this.#isolate.send(this, server);
  }

  failed(server: number, at: number): void {
    this.#isolate.later(at, () => {
      this.#isolate.doubt(server);
      this.#isolate.fail(this);
    });
  }
}

/** The recorder's backlogs, one a server, and the room in its outbox. */
class Backlogs {
  readonly #world: World;
  readonly #isolate: OurIsolate;
  readonly #byShard: (Backlog | undefined)[] = [];
  #pending = 0;

  constructor(world: World, isolate: OurIsolate) {
    this.#world = world;
    this.#isolate = isolate;
  }

  /** Whether events of this shard join one without an attempt of their own. */
  isFilling(shard: number): boolean {
    return (this.#byShard[shard]?.pending ?? 0) > 0;
  }

  /** Takes an event that was not written. */
  hold(shard: number): void {
    const { tally, now } = this.#world;
    if (this.#pending >= OUTBOX_CAPACITY) return tally.lose(now, now);
    this.#pending++;
    const backlog = this.#byShard[shard] ??= new Backlog(
      this.#world,
      this.#isolate,
      shard,
      (count) => this.#pending -= count,
    );
    backlog.hold();
  }

  /** A shard has moved to another server. */
  startOver(shard: number): void {
    this.#byShard[shard]?.startOver();
  }
}

/** The events for one shard that could not be written. */
class Backlog {
  readonly #world: World;
  readonly #isolate: OurIsolate;
  readonly #shard: number;
  readonly #release: (count: number) => void;
  readonly #backoff: ExponentialBackoff;
  pending = 0;
  #since = 0;
  #isSending = false;
  #failures = 0;
  #wait = 0; // its number, to end it early

  constructor(
    world: World,
    isolate: OurIsolate,
    shard: number,
    release: (count: number) => void,
  ) {
    this.#world = world;
    this.#isolate = isolate;
    this.#shard = shard;
    this.#release = release;
    this.#backoff = new ExponentialBackoff({
      jitter: BACKLOG_JITTER,
      random: world.chance.random,
    });
  }

  hold(): void {
    if (this.pending++ > 0) return;
    this.#since = this.#world.now;
    this.#failures = 1;
    this.#pause(this.#world.now);
  }

  startOver(): void {
    if (this.pending === 0) return;
    this.#failures = 0;
    if (!this.#isSending) this.#pause(this.#world.now);
  }

  #pause(from: number): void {
    const waitMs = this.#failures > 0
      ? this.#backoff.delayMs(this.#failures - 1)
      : 0;
    const wait = ++this.#wait;
    this.#world.agenda.at(from + waitMs, () => {
      if (wait === this.#wait) this.#send();
    });
  }

  #send(): void {
    this.#isSending = true;
    this.#connect(Math.min(CHUNK.events, this.pending));
  }

  #connect(count: number): void {
    this.#isolate.connect(this.#isolate.serverOf(this.#shard), {
      connected: (server) => this.#sendOn(server, count),
      failed: (server, at) => {
        this.#isolate.doubt(server);
        this.#end(false, at);
      },
    });
  }

  #sendOn(server: number, count: number): void {
    const { tally, now } = this.#world;
    const answer = this.#world.reply(server, this.#shard);
    if (answer === "served") {
      this.pending -= count;
      this.#release(count);
      tally.serve(now, this.#since, count);
      return this.#end(true, now);
    }
    this.#isolate.doubt(server);
    if (answer === "clusterdown") return this.#end(false, now);
    this.#isolate.moved(this.#shard);
    this.#connect(count);
  }

  #end(hasProgress: boolean, at: number): void {
    this.#isSending = false;
    this.#failures = hasProgress ? 0 : this.#failures + 1;
    if (this.pending > 0) this.#pause(Math.max(at, this.#world.now));
  }
}
