// What a scenario is: a fault, the load it meets, and what the module owes its caller then.
import type { Form } from "./form.ts";
import type { Stage } from "./stage.ts";

/** One row of the table. */
export interface Scenario {
  /** A word, for the command line. */
  readonly name: string;
  /** What goes wrong, for people. */
  readonly fault: string;
  /** Whether clients come over TLS. @default {false} */
  readonly tls?: boolean;
  /** Lines of `redis.conf` besides append-only and fsync. */
  readonly config?: Readonly<Record<string, string | number>>;
  /** What clients call the host. @default {its address} */
  readonly hostname?: string;
  /** The command that starts a process in which alone it can be played. */
  readonly alone?: {
    readonly command: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  };
  /** Connections that are open before the load begins. @default {1} */
  readonly connections?: number;
  /** When an event is due, in milliseconds after the first. @default {at a steady rate} */
  readonly dueMs?: (event: number, form: Form) => number;
  /** How many members an event writes. @default {1} */
  readonly count?: number;
  /** Events, where those of the form would be too many. */
  readonly events?: (form: Form) => number;
  /** Whether INCR has nothing to say about it. @default {false} */
  readonly recorderOnly?: boolean;
  /** What is owed besides what every row is owed. */
  readonly demands?: Demands;
  /** Sets up what the fault needs, before anybody connects. */
  prepare?(stage: Stage): Promise<void> | void;
  /** Makes the fault and ends it, while the load runs. */
  play(stage: Stage): Promise<void>;
  /** Looks at what only this row leaves behind; complains to the stage. */
  inspect?(stage: Stage): Promise<void> | void;
}

/** Limits of a row. In each, 0 are missing, doubled, hung or thrown. */
export interface Demands {
  /** Every call must succeed at once: the outbox is not needed. */
  readonly nobodyFails?: boolean;
  /** p99 of the calls that a connection died under, in milliseconds. */
  readonly p99HitMs?: number;
  /** No call may take longer, in milliseconds. */
  readonly longestMs?: (form: Form) => number;
  /** The fault must outlast a call's retries: some events wait in the outbox. */
  readonly queues?: boolean;
  /** No call that begins after a silent connection was found out may wait for another. */
  readonly paysOnce?: boolean;
  /** Connections tried a second, at most, while the fault lasts. */
  readonly dialsPerSecond?: number;
}
