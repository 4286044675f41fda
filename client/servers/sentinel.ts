// The directory of a primary that Sentinels name.
import { ReplyError } from "../../resp/errors.ts";
import { ConnectionClosedError } from "../../pool/connection/close_report.ts";
import { isOfOtherRole } from "../../pool/connection/other_handshakes.ts";
import { CheckoutTimeoutError, DepartedError } from "../../pool/errors.ts";
import { DialError } from "../../pool/socket/dial_error.ts";
import type { Endpoint } from "../../pool/socket/endpoint.ts";
import { ChargeWindow } from "./charge_window.ts";
import type {
  Advice,
  Directory,
  DirectoryEvents,
  DirectoryStats,
  Finding,
  Routed,
  ServerEntry,
} from "./directory.ts";
import { Lookup } from "./lookup.ts";
import { PeriodicCheck } from "./periodic_check.ts";
import {
  type NamedPrimary,
  SentinelDiscovery,
  type SentinelDiscoveryOptions,
} from "./sentinel_discovery.ts";
import { HASH_SLOTS, type Server, type Tally } from "./server.ts";
import { ServerSet } from "./server_set.ts";
import { takeoverEvidence } from "./sentinel_peer.ts";

/** Options of a {@linkcode SentinelDirectory}. */
export interface SentinelDirectoryOptions extends
  Pick<
    SentinelDiscoveryOptions,
    "username" | "password" | "tls" | "dial" | "limits"
  > {
  /** The first Sentinel, with the name of the primary, other Sentinels, and the user, the database and the TLS options of the primary. */
  readonly endpoint: Endpoint;
  /** The name of all of it in errors. */
  readonly name: string;
  /** Makes the server at an endpoint. Each of its connections must be refused that does not lead to a primary. */
  readonly serverAt: (endpoint: Endpoint) => Server;
  /** Whether calls are open. */
  readonly hasCalls: () => boolean;
  /** How many calls may wait for an answer. */
  readonly maxWaiting: number;
  /** See {@linkcode DirectoryEvents}. */
  readonly events: Pick<DirectoryEvents, "onPrimary">;
  /** Called when another server has taken over, after calls go to it. It may not throw. */
  readonly onFailover: (from: Endpoint, to: Endpoint) => void;
}

/**
 * While calls are open, Sentinels are asked this often, in milliseconds: in a failover by
 * hand the old primary goes on answering for up to 11 seconds, and what it answers then is lost.
 */
const POLL_MS = 250;
/** An answer that is older than this, in milliseconds, may not hold any more. */
const STALE_MS = 500;
/** How long a connection to a Sentinel is kept after the last answer. Tests shorten it. */
export const KEPT = { ms: 10_000 };
/** A call waits for the end of so many questions at most. */
const MAX_QUESTIONS = 2;

/** Refusals by a server that is no primary, or one that has lost its replicas. */
const RULING_OUT: readonly string[] = [
  "READONLY",
  "MASTERDOWN",
  "UNBLOCKED",
  "NOREPLICAS",
];

/**
 * The directory of a primary that Sentinels name.
 *
 * - Without calls there is no question, and no timer.
 * - While calls are open, a Sentinel is asked four times a second, on a connection that is kept.
 * - A server that a Sentinel has replaced is left at once: what it owes is lost, so
 *   that no reply of it counts any more, and what may run twice is sent to the new one.
 * - A call that needs a new connection after a while, or after the server was ruled out,
 *   waits for an answer; if no Sentinel answers, the primary in use stays.
 */
export class SentinelDirectory implements Directory {
  readonly endpoint: Endpoint;
  readonly name: string;
  readonly isCluster = false;
  readonly #options: SentinelDirectoryOptions;
  readonly #primaryName: string;
  readonly #discovery: SentinelDiscovery;
  readonly #lookup: Lookup;
  readonly #checks = new PeriodicCheck(POLL_MS, () => this.#check());
  readonly #servers: ServerSet;
  /** The primary in use. */
  #primary: Server | undefined;
  /** The same while checks are made and nothing speaks against it. */
  #ready: Server | undefined;
  #timesRuledOut = 0;
  #isRuledOut = false;
  #answeredAt = -Infinity; // by performance.now()
  #namedBy: string | undefined;
  readonly #charges = new ChargeWindow();
  #closedFor: { readonly reason: unknown } | undefined;

  /** @param options See {@linkcode SentinelDirectoryOptions}. */
  constructor(options: SentinelDirectoryOptions) {
    const { endpoint, name } = options;
    this.endpoint = endpoint;
    this.name = name;
    this.#options = options;
    this.#servers = new ServerSet(({ hostname, port }) =>
      options.serverAt(endpoint.at(hostname, port))
    );
    this.#lookup = new Lookup({
      ask: () => this.#ask(),
      maxWaiting: options.maxWaiting,
      what: name,
    });
    this.#primaryName = endpoint.sentinel!;
    this.#discovery = new SentinelDiscovery({
      ...options,
      name: this.#primaryName,
      seeds: endpoint.seeds,
      mapAddress: (address) => endpoint.mapAddress(address),
    });
  }

  serverOf(_call: Routed): Server | undefined {
    return this.#ready ?? this.#resume();
  }

  find(
    _call: Routed,
    { found, fail }: Finding,
  ): (reason: unknown) => void {
    let end: () => void;
    let questions = 0;
    const wait = (): void => {
      end = this.#lookup.wait((failure) => {
        if (this.#closedFor !== undefined) return fail(this.#closedFor.reason);
        // Ruled out after the question was asked: that answer is no news.
        if (
          failure === undefined && this.#isRuledOut &&
          ++questions < MAX_QUESTIONS
        ) return wait();
        const server = this.#primary;
        if (server === undefined) return fail(failure!.reason);
        this.#checks.start();
        found(server);
      });
    };
    wait();
    return (reason) => {
      end();
      fail(reason);
    };
  }

  heed({ server }: Routed, error: Error): Advice | undefined {
    if (error instanceof DepartedError) return "at-once";
    if (server === undefined || server !== this.#primary) {
      return undefined; // an answer of the Sentinels, or of a server that was left
    }
    if (error instanceof DialError) {
      if (isOfOtherRole(error)) this.#discovery.distrustLast();
      this.#ruleOut();
    } else if (
      error instanceof ConnectionClosedError ||
      (error instanceof CheckoutTimeoutError && error.isRetriable)
    ) {
      this.#lookup.renew();
    } else if (error instanceof ReplyError && RULING_OUT.includes(error.code)) {
      this.#ruleOut();
      return { charge: this.#charges.chargeAt(performance.now()) };
    }
    return undefined;
  }

  serverOfKey(_key: string): Server | undefined {
    return this.#primary;
  }

  entries(): ServerEntry[] {
    return this.#primary === undefined
      ? []
      : [{ server: this.#primary, hashSlots: HASH_SLOTS }];
  }

  leaving(): Server[] {
    return this.#servers.leaving();
  }

  tally(): Tally {
    return this.#servers.tallyWith(this.entries());
  }

  stats(): DirectoryStats {
    return {
      redirects: { moved: 0, ask: 0 },
      topology: undefined,
      primary: { name: this.#primaryName, namedBy: this.#namedBy },
    };
  }

  renew(): void {
    this.#lookup.renew();
  }

  async close(reason: unknown): Promise<void> {
    this.#closedFor = { reason };
    this.#ready = undefined;
    this.#checks.end();
    await Promise.all([
      this.#lookup.close(reason),
      this.#discovery.close(reason),
      this.#servers.close(reason),
    ]);
  }

  /** The primary, if a call may go there at once. Checks are made from then on. */
  #resume(): Server | undefined {
    const server = this.#primary;
    if (server === undefined || this.#isRuledOut) return undefined;
    if (performance.now() - this.#answeredAt > STALE_MS) {
      if (!server.hasOpen) return undefined; // a dial may wait for an answer
      this.#lookup.renew();
    }
    this.#checks.start();
    return this.#ready = server;
  }

  /** Asks while calls are open. Returns whether to check again. */
  #check(): boolean {
    if (this.#options.hasCalls()) {
      this.#lookup.renew();
      return true;
    }
    this.#ready = undefined;
    if (performance.now() - this.#answeredAt < KEPT.ms) return true;
    this.#discovery.hangUp();
    return false;
  }

  /** The primary in use cannot be dialed, or is none: calls wait for an answer to a question that begins now. */
  #ruleOut(): void {
    this.#timesRuledOut++;
    this.#isRuledOut = true;
    this.#ready = undefined;
    this.#lookup.renew();
  }

  async #ask(): Promise<boolean> {
    const timesRuledOut = this.#timesRuledOut;
    try {
      const named = await this.#discovery.ask();
      if (this.#closedFor !== undefined) throw this.#closedFor.reason;
      this.#answeredAt = performance.now();
      this.#namedBy = named.by;
      this.#take(named);
    } finally {
      // Without an answer, too: the primary in use may be back.
      if (timesRuledOut === this.#timesRuledOut) this.#isRuledOut = false;
    }
    return true;
  }

  #take({ primary: address, by }: NamedPrimary): void {
    const { events, onFailover } = this.#options;
    const before = this.#primary;
    const server = this.#servers.at(address);
    if (server === before) return;
    this.#primary = server;
    this.#ready = undefined;
    this.#isRuledOut = false;
    events.onPrimary(server.endpoint, {
      name: this.#primaryName,
      from: before && `${before.endpoint}`,
      namedBy: by,
    });
    if (before === undefined) return;
    this.#leave(before, server);
    onFailover(before.endpoint, server.endpoint);
  }

  /**
   * Leaves a server that another one has replaced: no reply of it counts any more.
   * Its connections end before anything is sent to the other one.
   */
  #leave(server: Server, { endpoint }: Server): void {
    const takeover = takeoverEvidence(endpoint, this.#primaryName);
    const reason = new DepartedError(
      `${server.endpoint} is not the primary any more: ${takeover}`,
    );
    this.#servers.leave(server, reason, takeover);
    // However short its silence: what it answers now may be lost with its data.
    server.closeSilent(Number.MIN_VALUE, `it was replaced: ${takeover}`);
    server.close(reason); // leases, too
  }
}
