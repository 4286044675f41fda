// The directory of a cluster: which server holds a hash slot now.
import type { Command } from "../../resp/types.ts";
import { ReplyError } from "../../resp/errors.ts";
import { ConnectionClosedError } from "../../pool/connection/close_report.ts";
import { CheckoutTimeoutError } from "../../pool/errors.ts";
import { type Address, textOfAddress } from "../../pool/socket/address.ts";
import { DialError } from "../../pool/socket/dial_error.ts";
import type { Endpoint } from "../../pool/socket/endpoint.ts";
import { DepartedError } from "./departed_error.ts";
import { placeOf } from "../commands/place.ts";
import { rowOf } from "../commands/table.ts";
import { departuresOf } from "./departures.ts";
import type {
  Advice,
  Directory,
  DirectoryStats,
  Finding,
  Routed,
  Routing,
  ServerEntry,
} from "./directory.ts";
import type { DirectoryEvents } from "./directory_events.ts";
import { hashSlotOf } from "./hash_slot.ts";
import { Lookup } from "./lookup.ts";
import { type Redirect, redirectOf } from "./redirect.ts";
import type { Server } from "./server.ts";
import { ServerSet } from "./server_set.ts";
import { Topology } from "./topology.ts";
import { askTopology } from "./topology_question.ts";
import { Watch } from "./watch.ts";

/** The hash slot of a call without keys that any server can run. */
export const ANY_SERVER = -1;

/** Redirects that a call follows without a wait between them. */
const MAX_REDIRECTS = 5;
/** How much of that a redirect to the very server takes that has sent it: two in a row are too many. */
const SELF_REDIRECT = 3;
/** A server that owes a reply for this long, in milliseconds, may have been replaced. */
const SILENT_MS = 1000;
/** While calls are open, silence is looked for this often, in milliseconds. */
const WATCH_MS = 250;
/** A server without hash slots stays this long after the last ASK that named it, in milliseconds. */
const DETOUR_MS = 10_000;
/** A server that has left may owe a reply for this long, in milliseconds; what comes later is no answer. */
const LAST_WORD_MS = 500;
/** What a server refuses within this time, in milliseconds, is charged to the retry budget once. */
const CHARGE_MS = 100;
/** How many servers of a kind are asked for the topology at most. */
const MAX_SOURCES = 3;
/** How long a doubt lasts that no byte of the server has ended, in milliseconds. */
const DOUBT_MS = 2000;

/** Options of a {@linkcode Cluster}. */
export interface ClusterOptions {
  /** The address that the user gave, with the credentials for every server. */
  readonly endpoint: Endpoint;
  /** Its name in errors. */
  readonly name: string;
  /** How long the first answer may take, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Makes a server. */
  readonly serverAt: (endpoint: Endpoint) => Server;
  /** Called with what it finds out. */
  readonly events: DirectoryEvents;
  /** Called when a replica was promoted, after calls go to it. */
  readonly onFailover: (from: Endpoint, to: Endpoint) => void;
}

/**
 * A cluster.
 *
 * - The topology is asked for by CLUSTER SLOTS when something shows that it may
 *   have changed, one question at a time, on a connection that is open if there
 *   is one.
 * - A server that has lost its hash slots is left: its silent connections end
 *   before anything is sent again, so that none of them can answer any more.
 */
export class Cluster implements Directory {
  readonly isCluster = true;
  readonly endpoint: Endpoint;
  readonly name: string;
  readonly #options: ClusterOptions;
  readonly #servers: ServerSet;
  readonly #lookup: Lookup;
  readonly #watch = new Watch(WATCH_MS, () => this.#look());
  /** Since when a server may have been replaced, by `performance.now()`. */
  readonly #doubts = new Map<Server, number>();
  /** When ASK last named a server, by `performance.now()`. */
  readonly #detours = new Map<Server, number>();
  readonly #charges = new WeakMap<Server, Charge>();
  /** The hash slots of calls that wait for a server, and how many wait for each. */
  readonly #wanted = new Map<number, number>();
  #topology: Topology = Topology.empty();
  /** By the index of a shard, its primary. */
  #primaries: (Server | undefined)[] = [];
  #askedAt: number | undefined;
  #why = "the first call";
  #moved = 0;
  #asks = 0;

  /** @param options See {@linkcode ClusterOptions}. */
  constructor(options: ClusterOptions) {
    this.#options = options;
    this.endpoint = options.endpoint;
    this.name = options.name;
    this.#servers = new ServerSet(({ hostname, port }) =>
      options.serverAt(options.endpoint.at(hostname, port))
    );
    this.#lookup = new Lookup({ ask: () => this.#ask() });
  }

  serverOf(call: Routed): Server | undefined {
    const routing = call.routing ??= routingOf(call);
    if (routing === undefined) return undefined;
    this.#watch.start();
    if (routing.detour !== undefined) return routing.detour;
    return routing.hashSlot === ANY_SERVER
      ? this.#anyServer()
      : this.#holderOf(routing.hashSlot);
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
    if (error instanceof DepartedError) return "at-once";
    const asked = routing.detour ?? server;
    routing.detour = undefined;
    if (error instanceof ReplyError) {
      const redirect = redirectOf(error);
      if (redirect === undefined) return this.#heedRefusal(error, asked);
      if (isOfScript(call.command, redirect, routing)) return undefined;
      return this.#follow(redirect, routing, asked);
    }
    routing.redirects = 0;
    const isSilent = error instanceof ConnectionClosedError &&
      error.report.how === "silence";
    if (
      isSilent || error instanceof DialError ||
      error instanceof CheckoutTimeoutError
    ) this.#doubt(asked, error.name);
    return undefined;
  }

  serverOfKey(key: string): Server | undefined {
    return this.#holderOf(hashSlotOf(key));
  }

  entries(): ServerEntry[] {
    const { shards } = this.#topology;
    return shards.flatMap(({ hashSlots }, i) =>
      hashSlots === 0 ? [] : [{ server: this.#primary(i)!, hashSlots }]
    );
  }

  leaving(): Server[] {
    return this.#servers.leaving();
  }

  stats(): DirectoryStats {
    return {
      redirects: { moved: this.#moved, ask: this.#asks },
      topology: {
        askedAt: this.#askedAt,
        asked: this.#lookup.asked,
        covered: this.#topology.covered,
      },
      gone: this.#servers.gone,
    };
  }

  async close(reason: unknown): Promise<void> {
    this.#watch.end();
    await Promise.all([
      this.#lookup.close(reason),
      this.#servers.close(reason),
    ]);
  }

  #primary(shard: number): Server | undefined {
    const known = this.#primaries[shard];
    if (known !== undefined) return known;
    const primary = this.#topology.shards[shard]?.primary;
    return primary &&
      (this.#primaries[shard] = this.#servers.at(primary));
  }

  #holderOf(hashSlot: number): Server | undefined {
    return this.#primary(this.#topology.shardOf(hashSlot));
  }

  /** A server for a call without keys: one that is connected and not in doubt, if there is one. */
  #anyServer(): Server | undefined {
    const { length } = this.#topology.shards;
    const first = Math.floor(Math.random() * length);
    let best: Server | undefined;
    for (let i = 0; i < length; i++) {
      const shard = (first + i) % length;
      if (this.#topology.shards[shard]!.hashSlots === 0) continue;
      const server = this.#primary(shard)!;
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

  /** What refusals of a server are charged to: however many come in a moment, they are one event. */
  #chargeOf(server: Server): object {
    const now = performance.now();
    let charge = this.#charges.get(server);
    if (charge === undefined || now - charge.at > CHARGE_MS) {
      charge = { at: now };
      this.#charges.set(server, charge);
    }
    return charge;
  }

  #follow(redirect: Redirect, routing: Routing, asked: Server): Advice {
    const isMoved = redirect.kind === "moved";
    const address = this.#addressOf(redirect, asked);
    const isSelf = address !== undefined &&
      textOfAddress(address) === `${asked.endpoint}`;
    routing.redirects += isSelf ? SELF_REDIRECT : 1;
    if (isMoved) this.#why = "MOVED";
    if (address === undefined || routing.redirects > MAX_REDIRECTS) {
      routing.redirects = 0;
      this.#doubt(asked, redirect.kind.toUpperCase());
      return { mayRunAgain: true, charge: this.#chargeOf(asked) };
    }
    this.#options.events.onRedirect(asked.endpoint, {
      code: isMoved ? "MOVED" : "ASK",
      hashSlot: redirect.hashSlot,
      to: textOfAddress(address),
    });
    if (!isMoved) {
      this.#asks++;
      routing.detour = this.#servers.at(address);
      this.#detours.set(routing.detour, performance.now());
      return "at-once";
    }
    this.#moved++;
    routing.hashSlot = redirect.hashSlot; // of a command whose keys are not known
    // The name leads to another server by now: https://github.com/redis/ioredis/issues/1865
    if (isSelf) asked.retireOlder(performance.now(), "moved");
    else {this.#adopt(
        this.#topology.moved(redirect.hashSlot, address, addressOf(asked)),
      );}
    this.#lookup.doubt();
    return "at-once";
  }

  /** Where a redirect leads; `undefined` if it names no server that is known. */
  #addressOf(redirect: Redirect, asked: Server): Address | undefined {
    const port = redirect.port || asked.endpoint.port;
    const hostname = redirect.hostname || asked.endpoint.hostname;
    // A server without an announced host name, where the others have one.
    return hostname === "?"
      ? this.#topology.atPort(port)
      : this.#topology.canonical(
        this.endpoint.mapAddress({ hostname, port }),
      );
  }

  /** A server may have been replaced: the others are asked, until it is heard from or the doubt is old. */
  #doubt(server: Server, why: string): void {
    if (!this.#servers.has(server)) return;
    this.#doubts.set(server, performance.now());
    this.#why = why;
    this.#lookup.doubt();
  }

  /** Asks for the topology. Returns whether the answer is of use. */
  async #ask(): Promise<boolean> {
    const startedAt = performance.now();
    const why = this.#why;
    const patches = this.#topology.patches;
    const wanted = [...this.#wanted.keys()].filter((hashSlot) =>
      hashSlot !== ANY_SERVER
    );
    try {
      const { topology, askedOf, isComplete } = await askTopology({
        name: this.name,
        sources: this.#sources(),
        deadlineMs: this.#options.connectTimeoutMs,
        mapAddress: (address) => this.endpoint.mapAddress(address),
        wanted,
      });
      this.#askedAt = Date.now();
      this.#adopt(topology.patchedBy(this.#topology, patches));
      this.#publish(why, askedOf, startedAt);
      return isComplete;
    } finally {
      this.#dropUnused();
      this.#reconsiderDoubts();
    }
  }

  #publish(why: string, asked: Server, startedAt: number): void {
    this.#options.events.onTopology(asked.endpoint, {
      servers: this.entries().map(({ server }) => `${server.endpoint}`),
      covered: this.#topology.covered,
      tookMs: performance.now() - startedAt,
      why,
    });
  }

  /** The servers to ask, the best first: connected ones, replicas, the addresses to begin with, and those in doubt. */
  #sources(): Server[] {
    const now = performance.now();
    const isTrusted = (server: Server) =>
      !this.#doubts.has(server) && server.silentMs(now) < SILENT_MS;
    const known = shuffled([...this.#servers]);
    const connected = known.filter((server) =>
      server.hasOpen && isTrusted(server)
    );
    const { shards } = this.#topology;
    const others = shuffled(
      shards.flatMap(({ primary, replicas }) => [primary, ...replicas]),
    ).slice(0, MAX_SOURCES).map((address) => this.#servers.at(address));
    const seeds = this.endpoint.seeds.map((seed) => this.#servers.at(seed));
    const all = [...connected.slice(0, MAX_SOURCES), ...others, ...seeds];
    return [
      ...new Set([
        ...all.filter(isTrusted),
        ...all.filter((server) => !isTrusted(server)),
      ]),
    ];
  }

  /** Takes over a topology. Servers that have lost their hash slots are left. */
  #adopt(next: Topology): void {
    const before = this.#topology;
    if (next === before) return; // one hash slot has moved
    this.#topology = next;
    this.#primaries = [];
    const departures = departuresOf(before, next);
    for (const { from, to, isPromotion } of departures) {
      // A replica that was not listed yet may have been promoted, too.
      if (!isPromotion && next.isPrimary(from)) continue;
      const successor = this.#servers.at(to);
      const server = this.#servers.get(from);
      const endpoint = server?.endpoint ??
        this.endpoint.at(from.hostname, from.port);
      this.#options.onFailover(endpoint, successor.endpoint);
    }
    const byServer = Map.groupBy(
      departures,
      ({ from }) => this.#servers.get(from),
    );
    for (const [server, left] of byServer) {
      if (server === undefined || next.isPrimary(addressOf(server))) continue;
      this.#leave(server, left.map(({ evidence }) => evidence).join(", "));
    }
  }

  /**
   * A server has lost its hash slots. If it is silent, its connections end before
   * their commands are sent to another one: what it answers once it goes on
   * would be of data that is gone.
   */
  #leave(server: Server, evidence?: string): void {
    this.#doubts.delete(server);
    this.#detours.delete(server);
    this.#servers.leave(server, this.name, evidence);
    if (server.silentMs(performance.now()) >= LAST_WORD_MS) {
      server.closeSilent(1, `it was replaced: ${evidence}`);
    }
    this.#watch.start();
  }

  /** Leaves servers that are neither in the topology nor named by an ASK of late. */
  #dropUnused(): void {
    const now = performance.now();
    for (const server of this.#servers) {
      const askedAt = this.#detours.get(server) ?? -Infinity;
      if (
        !this.#topology.isPrimary(addressOf(server)) &&
        now - askedAt > DETOUR_MS
      ) this.#leave(server);
    }
  }

  #reconsiderDoubts(): void {
    const now = performance.now();
    for (const [server, since] of this.#doubts) {
      if (server.heardAt > since || now - since > DOUBT_MS) {
        this.#doubts.delete(server);
      }
    }
    if (this.#doubts.size > 0) this.#lookup.doubt();
  }

  /** Looks for silent servers. Returns whether any is in use. */
  #look(): boolean {
    const now = performance.now();
    let isBusy = false;
    for (const server of this.#servers) {
      isBusy ||= isBusyNow(server);
      const silentMs = server.silentMs(now);
      if (silentMs >= SILENT_MS) this.#doubt(server, "silence");
    }
    for (const server of this.#servers.leaving()) {
      isBusy = true;
      if (server.silentMs(now) < LAST_WORD_MS) continue;
      server.closeSilent(LAST_WORD_MS, "it was replaced");
    }
    return isBusy;
  }
}

/** Refusals of one moment. */
interface Charge {
  /** When the first came, by `performance.now()`. */
  readonly at: number;
}

const addressOf = ({ endpoint: { hostname, port } }: Server): Address => ({
  hostname,
  port,
});

/** Whether a call waits for it, or a reply of it. */
function isBusyNow(server: Server): boolean {
  const { inFlight, waiting, leased } = server.stats();
  return inFlight > 0 || waiting > 0 || leased > 0;
}

/** Where a call goes; `undefined` if it cannot be sent to a cluster. */
function routingOf({ command, key }: Routed): Routing | undefined {
  if (command === undefined) {
    return key === undefined ? undefined : routingTo(hashSlotOf(key));
  }
  const place = placeOf(command);
  if (place === "any") return routingTo(ANY_SERVER);
  return "key" in place ? routingTo(hashSlotOf(place.key)) : undefined;
}

const routingTo = (hashSlot: number): Routing => ({
  hashSlot,
  detour: undefined,
  redirects: 0,
});

/** Why a call cannot be sent to a cluster. */
function refusalOf({ command }: Routed, name: string): TypeError {
  if (command === undefined) {
    return new TypeError(
      `Cannot lease a connection to ${name} without a key: expected lease({ key }), or a lease of one of redis.nodes()`,
    );
  }
  const place = placeOf(command);
  return new TypeError(place !== "any" && "why" in place ? place.why : name);
}

/** Whether a redirect is what a script has let through of its own commands: the server has run it. */
const isOfScript = (
  command: Command | undefined,
  { hashSlot }: Redirect,
  routing: Routing,
): boolean =>
  command !== undefined && rowOf(command).runs === "script" &&
  hashSlot !== routing.hashSlot;

/** In an order by chance. */
const shuffled = <T>(items: readonly T[]): T[] =>
  items.map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at).map(({ item }) => item);
