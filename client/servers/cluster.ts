// The directory of a cluster: which server holds a hash slot now.
import { ReplyError } from "../../resp/errors.ts";
import { ConnectionClosedError } from "../../pool/connection/close_report.ts";
import { CheckoutTimeoutError, DepartedError } from "../../pool/errors.ts";
import { type Address, textOfAddress } from "../../pool/socket/address.ts";
import { DialError } from "../../pool/socket/dial_error.ts";
import type { Endpoint } from "../../pool/socket/endpoint.ts";
import { ChargeWindow } from "./charge_window.ts";
import { ClusterServers } from "./cluster_servers.ts";
import type {
  Advice,
  Directory,
  DirectoryEvents,
  DirectoryStats,
  Finding,
  Routed,
  Routing,
  ServerEntry,
} from "./directory.ts";
import { Doubts } from "./doubts.ts";
import { hashSlotOf } from "./hash_slot.ts";
import { Lookup } from "./lookup.ts";
import { type Redirect, redirectOf } from "./redirect.ts";
import { ANY_SERVER, isOfScript, refusalOf, routingOf } from "./routing.ts";
import { PeriodicCheck } from "./periodic_check.ts";
import type { Server, Tally } from "./server.ts";
import { askTopology } from "./topology_question.ts";

/** Redirects that a call follows without a wait between them. */
const MAX_REDIRECTS = 5;
/** A redirect to the server that has sent it counts as this many: two in a row are too many. */
const SELF_REDIRECT = 3;
/** A server that owes a reply for this long, in milliseconds, may have been replaced. */
const SILENT_MS = 1000;
/** While calls are open, servers are checked for silence this often, in milliseconds. */
const CHECK_MS = 250;

/** Options of a {@linkcode ClusterDirectory}. */
export interface ClusterDirectoryOptions {
  /** The address that the user gave, with the credentials for every server. */
  readonly endpoint: Endpoint;
  /** Its name in errors. */
  readonly name: string;
  /** How long the first answer may take, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** How many calls may wait for the topology. */
  readonly maxWaiting: number;
  /** Makes a server. */
  readonly serverAt: (endpoint: Endpoint) => Server;
  /** Called with what it finds out. */
  readonly events: DirectoryEvents;
  /** Called when a replica was promoted, after calls go to it. */
  readonly onFailover: (from: Endpoint, to: Endpoint) => void;
}

/**
 * The directory of a cluster.
 *
 * - The topology is asked for by CLUSTER SLOTS when something shows that it may
 *   have changed, one question at a time, on a connection that is open if there
 *   is one.
 * - A server that has lost its hash slots is left: its silent connections end
 *   before anything is sent again, so that none of them can answer any more.
 */
export class ClusterDirectory implements Directory {
  readonly isCluster = true;
  readonly endpoint: Endpoint;
  readonly name: string;
  readonly #options: ClusterDirectoryOptions;
  readonly #servers: ClusterServers;
  readonly #lookup: Lookup;
  readonly #checks = new PeriodicCheck(CHECK_MS, () => this.#check());
  readonly #doubts = new Doubts();
  readonly #charges = new WeakMap<Server, ChargeWindow>();
  /** The hash slots of calls that wait for a server, and how many wait for each. */
  readonly #wanted = new Map<number, number>();
  #askedAt: number | undefined;
  #why = "the first call";
  #moved = 0;
  #asks = 0;

  /** @param options See {@linkcode ClusterDirectoryOptions}. */
  constructor(options: ClusterDirectoryOptions) {
    this.#options = options;
    this.endpoint = options.endpoint;
    this.name = options.name;
    this.#servers = new ClusterServers(options);
    this.#lookup = new Lookup({
      ask: () => this.#ask(),
      maxWaiting: options.maxWaiting,
      what: `a server of ${options.name}`,
    });
  }

  serverOf(call: Routed): Server | undefined {
    const routing = call.routing ??= routingOf(call);
    if (routing === undefined) return undefined;
    this.#checks.start();
    if (routing.detour !== undefined) return routing.detour;
    return routing.hashSlot === ANY_SERVER
      ? this.#anyServer()
      : this.#servers.holderOf(routing.hashSlot);
  }

  find(
    call: Routed,
    { found, fail }: Finding,
  ): ((reason: unknown) => void) | undefined {
    const { routing } = call;
    if (routing === undefined) return void fail(refusalOf(call, this.name));
    const { hashSlot } = routing;
    this.#want(hashSlot, 1);
    const cancel = this.#lookup.wait((failure) => {
      this.#want(hashSlot, -1);
      const server = this.serverOf(call);
      if (server !== undefined) found(server);
      else fail(failure?.reason ?? this.#uncovered(hashSlot));
    });
    return (reason) => {
      cancel();
      this.#want(hashSlot, -1);
      fail(reason);
    };
  }

  heed(call: Routed, error: Error): Advice | undefined {
    const { routing, server } = call;
    if (routing === undefined || server === undefined) return undefined;
    const asked = routing.detour ?? server;
    routing.detour = undefined;
    if (error instanceof DepartedError) {
      routing.redirects++;
      return this.#atOnce(routing, asked);
    }
    if (error instanceof ReplyError) {
      const redirect = redirectOf(error);
      if (redirect === undefined) {
        routing.redirects = 0;
        return this.#heedRefusal(error, asked);
      }
      if (isOfScript(call.command, redirect, routing)) return undefined;
      return this.#follow(redirect, routing, asked);
    }
    routing.redirects = 0;
    const isSilent = error instanceof ConnectionClosedError &&
      error.report.how === "silence";
    if (
      isSilent || error instanceof DialError ||
      (error instanceof CheckoutTimeoutError && error.isRetriable)
    ) this.#doubt(asked, error.name);
    return undefined;
  }

  serverOfKey(key: string): Server | undefined {
    return this.#servers.holderOf(hashSlotOf(key));
  }

  entries(): ServerEntry[] {
    return this.#servers.entries();
  }

  leaving(): Server[] {
    return this.#servers.leaving();
  }

  tally(): Tally {
    return this.#servers.tally();
  }

  stats(): DirectoryStats {
    return {
      redirects: { moved: this.#moved, ask: this.#asks },
      topology: {
        askedAt: this.#askedAt,
        asked: this.#lookup.asked,
        covered: this.#servers.topology.covered,
      },
      primary: undefined,
    };
  }

  renew(): void {
    this.#why = "a check";
    this.#lookup.renew();
  }

  async close(reason: unknown): Promise<void> {
    this.#checks.end();
    await Promise.all([
      this.#lookup.close(reason),
      this.#servers.close(reason),
    ]);
  }

  /** A server for a call without keys: one that is connected and not in doubt, if there is one. */
  #anyServer(): Server | undefined {
    const entries = this.entries();
    const first = Math.floor(Math.random() * entries.length);
    let best: Server | undefined;
    for (let i = 0; i < entries.length; i++) {
      const { server } = entries[(first + i) % entries.length]!;
      if (this.#doubts.has(server)) best ??= server;
      else if (server.hasOpen) return server;
      else if (best === undefined || this.#doubts.has(best)) best = server;
    }
    return best;
  }

  #uncovered(hashSlot: number): DialError {
    const what = hashSlot === ANY_SERVER ? "any" : `hash slot ${hashSlot}`;
    return new DialError(
      this.name,
      "connect",
      `no server of it holds ${what}`,
    );
  }

  #want(hashSlot: number, change: 1 | -1): void {
    const count = (this.#wanted.get(hashSlot) ?? 0) + change;
    if (count === 0) this.#wanted.delete(hashSlot);
    else this.#wanted.set(hashSlot, count);
  }

  /** A server refuses a command for a reason that may be over with another server, or soon. */
  #heedRefusal({ code }: ReplyError, server: Server): Advice | undefined {
    switch (code) {
      case "CLUSTERDOWN":
      case "MASTERDOWN":
      case "LOADING":
      case "READONLY":
        this.#doubt(server, code);
        return { charge: this.#chargeOf(server) };
      case "TRYAGAIN":
        return { charge: this.#chargeOf(server) };
      default:
        return undefined;
    }
  }

  #chargeOf(server: Server): object {
    let window = this.#charges.get(server);
    if (window === undefined) {
      window = new ChargeWindow();
      this.#charges.set(server, window);
    }
    return window.chargeAt(performance.now());
  }

  #follow(redirect: Redirect, routing: Routing, asked: Server): Advice {
    const isMoved = redirect.kind === "moved";
    const address = this.#addressOf(redirect, asked);
    const isSelf = address !== undefined &&
      textOfAddress(address) === `${asked.endpoint}`;
    routing.redirects += isSelf ? SELF_REDIRECT : 1;
    if (isMoved) this.#why = "MOVED";
    if (address === undefined) routing.redirects = Infinity;
    const advice = this.#atOnce(routing, asked);
    if (address === undefined || advice !== "at-once") {
      this.#doubt(asked, redirect.kind.toUpperCase());
      return advice;
    }
    this.#options.events.onRedirect(asked.endpoint, {
      code: isMoved ? "MOVED" : "ASK",
      hashSlot: redirect.hashSlot,
      to: textOfAddress(address),
    });
    if (!isMoved) {
      this.#asks++;
      routing.detour = this.#servers.detourTo(address);
      return "at-once";
    }
    this.#moved++;
    routing.hashSlot = redirect.hashSlot; // of a command whose keys are not known
    // The name leads to another server by now: https://github.com/redis/ioredis/issues/1865
    if (isSelf) asked.replaceOlder(performance.now());
    else this.#servers.move(redirect.hashSlot, address, asked);
    this.#lookup.renew();
    return "at-once";
  }

  /** The next attempt follows at once, unless there were too many in a row: then it is up to the policy. */
  #atOnce(routing: Routing, asked: Server): Advice {
    if (routing.redirects <= MAX_REDIRECTS) return "at-once";
    routing.redirects = 0;
    return { mayRunAgain: true, charge: this.#chargeOf(asked) };
  }

  /** Where a redirect leads; `undefined` if it names no server that is known. */
  #addressOf(redirect: Redirect, asked: Server): Address | undefined {
    const port = redirect.port || asked.endpoint.port;
    const hostname = redirect.hostname || asked.endpoint.hostname;
    const { topology } = this.#servers;
    // A server without an announced host name, where the others have one.
    return hostname === "?" ? topology.atPort(port) : topology.canonical(
      this.endpoint.mapAddress({ hostname, port }),
    );
  }

  /** A server may have been replaced: the others are asked, until it is heard from or the doubt is old. */
  #doubt(server: Server, why: string): void {
    if (!this.#servers.has(server)) return;
    this.#doubts.add(server, performance.now());
    this.#why = why;
    this.#lookup.renew();
  }

  /** Asks for the topology. Returns whether the answer is of use. */
  async #ask(): Promise<boolean> {
    const startedAt = performance.now();
    const why = this.#why;
    const { patches } = this.#servers.topology;
    const wanted = [...this.#wanted.keys()].filter((hashSlot) =>
      hashSlot !== ANY_SERVER
    );
    try {
      const { topology, askedOf, isComplete } = await askTopology({
        name: this.name,
        sources: this.#servers.sources((server) => this.#isTrusted(server)),
        deadlineMs: this.#options.connectTimeoutMs,
        mapAddress: (address) => this.endpoint.mapAddress(address),
        wanted,
      });
      this.#askedAt = Date.now();
      this.#servers.adopt(
        topology.patchedBy(this.#servers.topology, patches),
      );
      this.#publish(why, askedOf, startedAt);
      return isComplete;
    } finally {
      this.#servers.dropUnused();
      const now = performance.now();
      if (this.#doubts.reconsider(now, (server) => this.#servers.has(server))) {
        this.#lookup.renew();
      }
    }
  }

  #publish(why: string, asked: Server, startedAt: number): void {
    this.#options.events.onTopology(asked.endpoint, {
      servers: this.entries().map(({ server }) => `${server.endpoint}`),
      covered: this.#servers.topology.covered,
      tookMs: performance.now() - startedAt,
      why,
    });
  }

  /** Whether nothing speaks against what a server says. */
  #isTrusted(server: Server): boolean {
    return !this.#doubts.has(server) &&
      server.silentMs(performance.now()) < SILENT_MS;
  }

  /** Looks for servers that do not answer. Returns whether any is in use. */
  #check(): boolean {
    const now = performance.now();
    let isBusy = this.#servers.leaving().length > 0;
    this.#servers.endLastWords();
    for (const server of this.#servers) {
      const { open, inFlight, waiting, leased } = server.stats();
      isBusy ||= inFlight > 0 || waiting > 0 || leased > 0;
      if (server.silentMs(now) >= SILENT_MS) this.#doubt(server, "silence");
      else if (open === 0 && waiting > 0) this.#doubt(server, "a slow dial");
    }
    return isBusy;
  }
}
