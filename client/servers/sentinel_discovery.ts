// Asking Sentinels where the primary is: which of them, in which order, and which answer counts.
import type { ParserLimits } from "../../resp/limits.ts";
import type { Command, Reply } from "../../resp/types.ts";
import { type Address, textOfAddress } from "../../pool/socket/address.ts";
import { DialError } from "../../pool/socket/dial_error.ts";
import { Endpoint } from "../../pool/socket/endpoint.ts";
import type { Dial } from "../../pool/socket/socket.ts";
import type { TlsOptions } from "../../pool/socket/tls_options.ts";
import { firstAnswer, NoAnswerError } from "./first_answer.ts";
import {
  answerOf,
  describeFailure,
  isPassing,
  questionsFor,
  Sentinel,
  type SentinelAnswer,
} from "./sentinel_peer.ts";
import { shuffled } from "./shuffled.ts";

/** Options of a {@linkcode SentinelDiscovery}. */
export interface SentinelDiscoveryOptions {
  /** The name of the primary in the configuration of the Sentinels. */
  readonly name: string;
  /** Sentinels to begin with; at least one. */
  readonly seeds: readonly Address[];
  /** The user at the Sentinels. */
  readonly username?: string | undefined;
  /** The password at the Sentinels. */
  readonly password?: string | undefined;
  /** TLS to the Sentinels. @default {none} */
  readonly tls?: TlsOptions | undefined;
  /** Opens sockets. */
  readonly dial: Dial;
  /** The largest reply to accept. */
  readonly limits?: ParserLimits;
  /** Where a server is reached that Sentinels call so. @default {there} */
  readonly mapAddress?: (address: Address) => Address;
  /** Without an answer for this long, in milliseconds, the next Sentinel is asked as well. @default {100} */
  readonly nextAfterMs?: number;
  /** A clock, in milliseconds. @default {performance.now} */
  readonly now?: () => number;
  /** Gives numbers of 0 or more, less than 1: in which order the seeds are asked first. @default {Math.random} */
  readonly random?: () => number;
}

/** Where the primary is, and which Sentinel has said so. */
export interface NamedPrimary extends SentinelAnswer {
  /** `host:port` of the Sentinel. */
  readonly by: string;
}

const NEXT_AFTER_MS = 100;
/**
 * For this long after a Sentinel has named a primary, in milliseconds, one of an
 * earlier configuration epoch does not count. Sentinels hear of a failover
 * within 2 seconds, the period of their hello messages. A lower epoch that lasts is
 * that of Sentinels that were set up anew.
 */
const EPOCH_KEPT_MS = 10_000;
/** What the answer of a Sentinel has beside the address is asked for this often, in milliseconds, as long as the address stays. */
const FULL_MS = 10_000;

/** What a Sentinel has answered in full. */
interface LastAnswer {
  readonly sentinel: Sentinel;
  /** The address as it was answered. */
  readonly address: string;
  readonly answer: SentinelAnswer;
  /** When, by the clock. */
  readonly at: number;
}

/**
 * Asks Sentinels where the primary is.
 *
 * - The one that answered last is asked first, on a connection that is kept. If it
 *   fails, or has not answered within 100 ms, the next one is asked as well.
 * - The first answer counts, unless its configuration epoch is lower than that of a
 *   recent answer: then that Sentinel has not heard of the last failover.
 * - Sentinels that others list are asked after the seeds.
 * - After {@linkcode SentinelDiscovery.close} there is no connection left, and no dial.
 */
export class SentinelDiscovery {
  readonly #options: SentinelDiscoveryOptions;
  readonly #questions: readonly Command[];
  readonly #now: () => number;
  readonly #underWay = new Set<Promise<unknown>>();
  /** In the order in which they are asked. */
  #sentinels: Sentinel[];
  #over: AbortController | undefined;
  #closedFor: { readonly reason: unknown } | undefined;
  #seen: { readonly epoch: number; readonly at: number } | undefined;
  #last: LastAnswer | undefined;

  /** @param options See {@linkcode SentinelDiscoveryOptions}. */
  constructor(options: SentinelDiscoveryOptions) {
    this.#options = options;
    this.#questions = questionsFor(options.name);
    this.#now = options.now ?? (() => performance.now());
    this.#sentinels = [];
    // Or all clients of a deployment would ask the same one.
    for (const seed of shuffled(options.seeds, options.random)) {
      this.#add(seed, true);
    }
  }

  /** How many Sentinels there are to ask. */
  get size(): number {
    return this.#sentinels.length;
  }

  /** The Sentinel that answered last has named a server that is none: the others are asked first the next time. */
  distrustLast(): void {
    const last = this.#sentinels.shift();
    if (last === undefined) return;
    last.hangUp("it named a server that is no primary");
    this.#sentinels.push(last);
  }

  /** Closes the connections to Sentinels that are kept between questions. */
  hangUp(): void {
    for (const sentinel of this.#sentinels) sentinel.hangUp("it was idle");
  }

  /**
   * Asks. One question at a time.
   *
   * @throws {DialError} If no Sentinel names the primary.
   * @throws The reason of {@linkcode SentinelDiscovery.close}.
   */
  async ask(): Promise<NamedPrimary> {
    const over = this.#over = new AbortController();
    const sentinels = this.#sentinels;
    try {
      const { sentinel, answer } = await firstAnswer(sentinels, {
        ask: (sentinel, signal) => {
          const either = AbortSignal.any([signal, over.signal]);
          return this.#track(this.#askOne(sentinel, either));
        },
        staggerMs: this.#options.nextAfterMs ?? NEXT_AFTER_MS,
        isFinal: () => this.#closedFor !== undefined,
      });
      this.#note(sentinel, answer);
      return { ...answer, by: sentinel.key };
    } catch (error) {
      if (this.#closedFor !== undefined) throw this.#closedFor.reason;
      throw error instanceof NoAnswerError
        ? this.#failure(sentinels, error.failures)
        : error;
    }
  }

  /**
   * Closes every connection, and ends the question under way.
   *
   * @param reason What the question fails with.
   * @returns When the last dial is over.
   */
  async close(reason: unknown): Promise<void> {
    this.#closedFor = { reason };
    this.#over?.abort(reason);
    for (const sentinel of this.#sentinels) sentinel.hangUp("it was closed");
    await Promise.allSettled([...this.#underWay]);
  }

  /** Lets {@linkcode SentinelDiscovery.close} wait for the end of a question. */
  #track<T>(question: Promise<T>): Promise<T> {
    const over = question.then(() => {}, () => {});
    this.#underWay.add(over);
    over.then(() => this.#underWay.delete(over));
    return question;
  }

  async #askOne(
    sentinel: Sentinel,
    signal: AbortSignal,
  ): Promise<{ sentinel: Sentinel; answer: SentinelAnswer }> {
    if (this.#closedFor !== undefined) throw this.#closedFor.reason;
    const { dial, limits, name, mapAddress } = this.#options;
    const converse = (commands: readonly Command[]): Promise<Reply[]> =>
      sentinel.converse(commands, {
        dial,
        signal,
        ...limits === undefined ? {} : { limits },
      });
    const last = this.#last;
    if (last?.sentinel === sentinel && this.#now() - last.at < FULL_MS) {
      // The address alone: a tenth of the work of a Sentinel, which may have thousands of clients.
      const [address] = await converse(this.#questions.slice(0, 1));
      if (`${address}` === last.address) {
        return { sentinel, answer: last.answer };
      }
    }
    const replies = await converse(this.#questions);
    const said = answerOf(replies);
    if (said === undefined) {
      throw new Error(`has no primary of the name ${name}`);
    }
    const answer = mapAddress === undefined ? said : {
      ...said,
      primary: mapAddress(said.primary),
      others: said.others.map(mapAddress),
    };
    if (this.#isStale(answer)) {
      throw new Error(
        `names the primary before the last failover, ${
          textOfAddress(answer.primary)
        }`,
      );
    }
    this.#last = {
      sentinel,
      address: `${replies[0]}`,
      answer,
      at: this.#now(),
    };
    return { sentinel, answer };
  }

  #isStale({ epoch }: SentinelAnswer): boolean {
    const seen = this.#seen;
    return seen !== undefined && epoch !== undefined && epoch < seen.epoch &&
      this.#now() - seen.at < EPOCH_KEPT_MS;
  }

  /** A Sentinel has answered: it comes first from now on, and what it lists takes the place of what was listed before. */
  #note(sentinel: Sentinel, { epoch, others }: SentinelAnswer): void {
    if (epoch !== undefined) this.#seen = { epoch, at: this.#now() };
    const listed = new Set(others.map(textOfAddress));
    for (const other of others) this.#add(other, false);
    const isKept = (other: Sentinel) =>
      other === sentinel || other.isSeed || listed.has(other.key);
    for (const other of this.#sentinels) {
      if (other !== sentinel || this.#closedFor !== undefined) {
        other.hangUp("another one has answered");
      }
    }
    this.#sentinels = [
      sentinel,
      ...this.#sentinels.filter((other) => other !== sentinel && isKept(other)),
    ];
  }

  #add(address: Address, isSeed: boolean): void {
    const key = textOfAddress(address);
    if (this.#sentinels.some((sentinel) => sentinel.key === key)) return;
    const { username, password, tls } = this.#options;
    const endpoint = new Endpoint(
      `${tls === undefined ? "redis" : "rediss"}://${key}`,
      { username, password, ...tls === undefined ? {} : { tls } },
    );
    this.#sentinels.push(new Sentinel(endpoint, key, isSeed));
  }

  #failure(
    sentinels: readonly Sentinel[],
    failures: readonly unknown[],
  ): DialError {
    const { name } = this.#options;
    const texts = sentinels.map(({ key }, i) =>
      `${key} ${describeFailure(failures[i])}`
    );
    const count = texts.length === 1
      ? "1 Sentinel"
      : `${texts.length} Sentinels`;
    return new DialError(
      `the primary ${name}`,
      "connect",
      `${count} asked: ${texts.join("; ")}`,
      { cause: failures[0], isRetriable: failures.some(isPassing) },
    );
  }
}
