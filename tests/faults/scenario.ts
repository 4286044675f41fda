// What a scenario is: a fault, the load it meets, and what must hold then.
import type { RuntimeName } from "./client_host.ts";
import type { LoadProfile } from "./load_profile.ts";
import type { FaultFixture } from "./fixture.ts";

/** One row of the table. */
export interface Scenario {
  /** Its name on the command line. */
  readonly name: string;
  /** What goes wrong, in words. */
  readonly fault: string;
  /** Whether clients come over TLS. @default {false} */
  readonly tls?: boolean;
  /** Lines of `redis.conf` besides append-only and fsync. */
  readonly config?: Readonly<Record<string, string | number>>;
  /** The host name that clients use. @default {its address} */
  readonly hostname?: string;
  /** The user as which the client logs in, with the password of the moment of its {@linkcode FaultFixture}. @default {none} */
  readonly user?: string;
  /** The command that starts a process, where the scenario needs one of its own. */
  readonly subprocess?: {
    readonly command: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  };
  /** Where the fault cannot be made, and why. */
  readonly absentOn?: { readonly [Runtime in RuntimeName]?: string };
  /** Connections that are open before the load begins. @default {1} */
  readonly connections?: number;
  /** When an event is due, in milliseconds after the first. @default {at a steady rate} */
  readonly dueMs?: (event: number, profile: LoadProfile) => number;
  /** How many members an event writes. @default {1} */
  readonly count?: number;
  /** How many events. @default {those of the profile} */
  readonly events?: (profile: LoadProfile) => number;
  /** Whether only the recorder runs under it, without INCR. @default {false} */
  readonly recorderOnly?: boolean;
  /** What must hold besides what must hold in every row. */
  readonly demands?: Demands;
  /** Sets up what the fault needs, before the client connects. */
  prepare?(fixture: FaultFixture): Promise<void> | void;
  /** Makes the fault and ends it, while the load runs. */
  run(fixture: FaultFixture): Promise<void>;
  /** Checks what only this row leaves behind. */
  inspect?(fixture: FaultFixture): Promise<void> | void;
}

/** Limits of a row. In every row no event may be missing, doubled or hung. */
export interface Demands {
  /** Every call must succeed at once: the outbox is not needed. */
  readonly noneFails?: boolean;
  /** Whether an event may be dropped: those of the row may be too large for the outbox. */
  readonly mayDrop?: boolean;
  /** p99 of the calls that a connection died under, in milliseconds. */
  readonly p99HitMs?: number;
  /** No call may take longer, in milliseconds. */
  readonly longestMs?: (profile: LoadProfile) => number;
  /** The fault must outlast a call's retries: some events wait in the outbox. */
  readonly queues?: boolean;
  /** No call that begins after a silent connection was found out may wait for another. */
  readonly paysOnce?: boolean;
  /** Dials a second, at most, while the fault lasts. */
  readonly dialsPerSecond?: number;
}
