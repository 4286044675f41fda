// That each event answered recorded or queued is in its set once, with its time, whatever happens to the server, the store and the processes.
import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type Command,
  type OutboxStore,
  Redis,
  type Sender,
  type SendOptions,
  type StoredEvent,
  WebhookRecorder,
} from "../../mod.ts";
import { Random, searchLength } from "../support/random.ts";
import { type RedisServer, startRedis } from "../support/redis_server.ts";
import { MapStore } from "./map_store.ts";

const RUNS = searchLength(3);
const STEPS = 30;
const SHOPS = 4;
const keyOf = (shopNo: number): string => `webhook_frequency_p_${shopNo}_e`;

/** An event that was accepted, and what its caller was told, if it was told before its process crashed. */
interface Accepted {
  readonly shopNo: number;
  readonly members: string[];
  /** Whether it must be in the set. */
  isPromised: boolean;
}

/** A process with a recorder: once it has crashed, nothing that it does has an effect, and nothing reaches it. */
class Process implements Sender, OutboxStore {
  readonly #redis: Redis;
  readonly #store: MapStore;
  readonly #random: Random;
  readonly recorder: WebhookRecorder;
  hasCrashed = false;
  making: Accepted | undefined;

  constructor(
    redis: Redis,
    store: MapStore,
    random: Random,
    newMember: () => string,
  ) {
    this.#redis = redis;
    this.#store = store;
    this.#random = random;
    this.recorder = new WebhookRecorder(this, {
      outbox: this,
      outboxCapacity: random.pick([10, 100, 10_000]),
      whenStoreFails: random.pick(["drop", "memory"]),
      onOutboxError: () => {},
      newMember,
    });
  }

  get origin() {
    return this.#redis.origin;
  }

  get isClosed() {
    return this.hasCrashed || this.#redis.isClosed;
  }

  send(command: Command, options?: SendOptions): Promise<unknown> {
    return this.#whileAlive(() => this.#redis.send(command, options));
  }

  pipeline(commands: readonly Command[], options?: SendOptions) {
    return this.#whileAlive(() => this.#redis.pipeline(commands, options));
  }

  load() {
    return this.#whileAlive(() => this.#store.load());
  }

  async append(entries: readonly StoredEvent[]): Promise<void> {
    await this.#inStore(() => this.#store.append(entries));
  }

  async remove(ids: readonly string[]): Promise<void> {
    await this.#inStore(() => this.#store.remove(ids));
  }

  crash(): void {
    this.hasCrashed = true;
  }

  /** What is left of it in this process ends: timers above all. */
  async bury(): Promise<void> {
    this.crash();
    await this.recorder.close({ drainMs: 0 });
  }

  /** A call of the store: it may fail, and may have had its effect nevertheless. */
  async #inStore(call: () => Promise<void>): Promise<void> {
    await this.#whileAlive(() => delay(this.#random.below(4)));
    const fails = this.#random.oneIn(12);
    if (fails && this.#random.oneIn(2)) throw new Error("no effect");
    await this.#whileAlive(call);
    if (fails) throw new Error("no acknowledgement");
  }

  async #whileAlive<T>(call: () => Promise<T>): Promise<T> {
    if (this.hasCrashed) throw new Error("crashed");
    const result = await call();
    if (this.hasCrashed) throw new Error("crashed");
    return result;
  }
}

/** One round of random events, outages, crashes and restarts. */
class Round implements AsyncDisposable {
  readonly accepted: Accepted[] = [];
  readonly #random: Random;
  readonly #server: RedisServer;
  readonly #redis: Redis;
  readonly #store = new MapStore();
  readonly #crashed: Process[] = [];
  #process: Process;
  #isUp = true;
  #made = 0;

  private constructor(random: Random, server: RedisServer) {
    this.#random = random;
    this.#server = server;
    this.#redis = new Redis(server.url, { retry: false });
    this.#process = this.#start();
  }

  static async start(random: Random): Promise<Round> {
    return new Round(random, await startRedis({ durable: true }));
  }

  async play(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      const burst = this.#random.oneIn(2) ? this.#random.below(30) : 1;
      for (let i = 0; i < burst; i++) this.#record();
      if (this.#random.oneIn(3)) await this.#happening();
      else await delay(this.#random.below(20));
    }
  }

  /** Lets a last process send what is left, and says what is wrong. */
  async faults(): Promise<string[]> {
    if (!this.#isUp) await this.#server.start();
    this.#process.crash();
    this.#crashed.push(this.#process);
    const last = new WebhookRecorder(this.#redis, { outbox: this.#store });
    await last.flush();
    await last.close();
    for (const process of this.#crashed) await process.bury();
    const faults: string[] = [];
    if (this.#store.entries.size > 0) {
      faults.push(`${this.#store.entries.size} entries are left in the store`);
    }
    const found = new Map<string, string>();
    for (let shopNo = 0; shopNo < SHOPS; shopNo++) {
      const words = await this.#redis.send(
        ["ZRANGE", keyOf(shopNo), 0, -1, "WITHSCORES"],
      ) as string[];
      for (let i = 0; i < words.length; i += 2) {
        found.set(words[i]!, `${shopNo} at ${words[i + 1]}`);
      }
    }
    this.accepted.forEach(({ shopNo, members, isPromised }, number) => {
      const there = members.filter((member) => found.has(member));
      if (isPromised && there.length < members.length) {
        faults.push(`${there.length} of ${members.length} of event ${number}`);
      }
      for (const member of there) {
        if (found.get(member) !== `${shopNo} at ${number}`) {
          faults.push(
            `${member} of event ${number} is in ${found.get(member)}`,
          );
        }
        found.delete(member);
      }
    });
    for (const member of found.keys()) {
      faults.push(`${member} belongs to no event`);
    }
    return faults;
  }

  /** How many events were promised. */
  get promised(): number {
    return this.accepted.filter(({ isPromised }) => isPromised).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.bury();
    await this.#redis.close({ drainMs: 0 });
    await this.#server[Symbol.asyncDispose]();
  }

  #start(): Process {
    const process: Process = new Process(
      this.#redis,
      this.#store,
      this.#random,
      () => {
        const member = `m${this.#made++}`;
        process.making!.members.push(member);
        return member;
      },
    );
    return process;
  }

  async #record(): Promise<void> {
    const process = this.#process;
    const shopNo = this.#random.below(SHOPS);
    const event: Accepted = { shopNo, members: [], isPromised: false };
    // The time of an event is its number.
    const receivedAt = this.accepted.length * 1000;
    this.accepted.push(event);
    process.making = event;
    const { status, error } = await process.recorder.record(
      { mallId: "p", shopNo, eventType: "e", receivedAt },
      1 + this.#random.below(3),
    );
    if (process.hasCrashed) return; // its caller has got no answer
    const isInMemoryAlone = error instanceof Error &&
      error.name === "OutboxError";
    event.isPromised = status === "recorded" ||
      (status === "queued" && !isInMemoryAlone);
  }

  async #happening(): Promise<void> {
    switch (this.#random.below(5)) {
      case 0:
      case 1:
        if (this.#isUp) await this.#server.kill();
        else await this.#server.start();
        this.#isUp = !this.#isUp;
        return;
      case 2:
      case 3:
        this.#process.crash();
        this.#crashed.push(this.#process);
        break;
      case 4:
        await this.#process.recorder.close({ drainMs: this.#random.below(50) });
    }
    this.#process = this.#start();
    await delay(this.#random.below(30));
  }
}

Deno.test(
  "Each event answered recorded or queued is in its set once, with its time, under random outages, crashes and failures of the store",
  { timeout: 180_000 },
  async () => {
    const random = new Random();
    for (let run = 0; run < RUNS; run++) {
      await using round = await Round.start(random);
      await round.play();
      assertEquals(await round.faults(), []);
      console.log(
        `${round.promised} of ${round.accepted.length} events were promised`,
      );
    }
  },
);
