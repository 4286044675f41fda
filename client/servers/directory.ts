// Which server is in charge of a call.
import type { Command } from "../../resp/types.ts";
import type { Endpoint } from "../../pool/socket/endpoint.ts";
import type { Server, Tally } from "./server.ts";

/** Where a call goes in a cluster. It is made for the first attempt, and redirects change it. */
export interface Routing {
  /** The hash slot of its keys, 0 to 16383; `ANY_SERVER` if it has none. */
  hashSlot: number;
  /** Where ASK sends the next attempt, and that one alone: each command of it follows an ASKING. */
  detour: Server | undefined;
  /** Redirects in a row, without a wait between them. */
  redirects: number;
}

/** What a server is chosen by. */
export interface Routed {
  /** The command to be sent next; `undefined` for a lease. */
  readonly command: Command | undefined;
  /** The key that a lease is for. */
  readonly key?: string | undefined;
  /** Where it goes in a cluster; `undefined` before its first attempt, and without a cluster. */
  routing: Routing | undefined;
  /** The server of its last attempt. */
  readonly server: Server | undefined;
}

/** What gets a server, or the reason why there is none. One of the two is called, once. */
export interface Finding {
  found(server: Server): void;
  fail(reason: unknown): void;
}

/**
 * What follows from a failed attempt beside what the call itself decides:
 * `"at-once"`, the next attempt follows without a wait and costs nothing; an
 * object, it is charged to `charge`, and `mayRunAgain` says that it does no harm.
 */
export type Advice =
  | "at-once"
  | { readonly mayRunAgain?: true; readonly charge: object };

/** What a directory has found out so far. */
export interface DirectoryStats {
  /** Redirects that were followed. */
  readonly redirects: { readonly moved: number; readonly ask: number };
  /** The topology in use; `undefined` where there is none. */
  readonly topology: TopologyStats | undefined;
  /** The primary that Sentinels name; `undefined` without Sentinels. */
  readonly primary: PrimaryStats | undefined;
}

/** What a client has learned from Sentinels. */
export interface PrimaryStats {
  /** The name of the primary in the configuration of the Sentinels. */
  readonly name: string;
  /** `host:port` of the Sentinel that named it last; `undefined` before that. */
  readonly namedBy: string | undefined;
}

/** What a client has learned of the topology. */
export interface TopologyStats {
  /** When a server last described it, Unix time in milliseconds; `undefined` before that. */
  readonly askedAt: number | undefined;
  /** How often a server was asked for it. */
  readonly asked: number;
  /** How many hash slots have a server, of 16384. */
  readonly covered: number;
}

/** A server in use, and what it is in charge of. */
export interface ServerEntry {
  readonly server: Server;
  /** How many hash slots it holds. */
  readonly hashSlots: number;
}

/**
 * Says which server is in charge. It is asked again for each attempt: in between, the
 * data may have moved to another server.
 */
export interface Router {
  /** The address that the user gave. */
  readonly endpoint: Endpoint;
  /** The name of all of it in errors, such as `the cluster of h:7000`. */
  readonly name: string;
  /** Whether commands on different keys may go to different servers. */
  readonly isCluster: boolean;
  /** The server in charge of a call now; `undefined` if it must be found first. */
  serverOf(call: Routed): Server | undefined;
  /**
   * Finds the server in charge of a call, if {@linkcode serverOf} has none.
   *
   * @returns Ends the search: its reason is the failure.
   */
  find(call: Routed, finding: Finding): ((reason: unknown) => void) | undefined;
  /** An attempt has failed with an error: takes note of what that shows, and says what follows from it. */
  heed(call: Routed, error: Error): Advice | undefined;
}

/** The servers of a client. */
export interface Directory extends Router {
  /** The server that a key goes to now; `undefined` if it is not known. */
  serverOfKey(key: string): Server | undefined;
  /** The servers in charge of something now. */
  entries(): ServerEntry[];
  /** Servers that have left, whose last connections are still in use. */
  leaving(): Server[];
  /** What all of its servers have done and hold, those that have gone included. */
  tally(): Tally;
  /** What it has found out. */
  stats(): DirectoryStats;
  /** Asks anew who is in charge, though nothing speaks for a change. */
  renew(): void;
  /**
   * Closes every server now.
   *
   * @param reason What waits and dials fail with.
   */
  close(reason: unknown): Promise<void>;
}

/** Called with what a directory finds out. None may throw. */
export interface DirectoryEvents {
  /**
   * A server has answered MOVED or ASK, and the command goes to another one.
   *
   * @param from The server that answered.
   * @param redirect Its answer; `to` is `host:port`.
   */
  onRedirect(
    from: Endpoint,
    redirect: {
      readonly code: "MOVED" | "ASK";
      readonly hashSlot: number;
      readonly to: string;
    },
  ): void;
  /**
   * A server was asked for the topology.
   *
   * @param asked The server.
   * @param answer What is known now, how long it took in milliseconds, and why it
   * was asked.
   */
  onTopology(
    asked: Endpoint,
    answer: {
      readonly servers: readonly string[];
      readonly covered: number;
      readonly tookMs: number;
      readonly why: string;
    },
  ): void;
  /**
   * Sentinels name another primary than before, or the first one.
   *
   * @param primary The primary now.
   * @param change The name of the primary, where it was before, `host:port`, and
   * the Sentinel that has said so.
   */
  onPrimary(
    primary: Endpoint,
    change: {
      readonly name: string;
      readonly from: string | undefined;
      readonly namedBy: string;
    },
  ): void;
}
