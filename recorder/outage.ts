// Why commands of a recorder were not acknowledged, and whether a server takes events at present.
import { type Outlook, outlookOf } from "../client/outlook.ts";
import { PipelineError } from "../client/pipeline_error.ts";
import { ReplyError } from "../resp/errors.ts";
import { messageOf } from "../retry/failures.ts";
import { RetryError } from "../retry/retry.ts";

/** Why a command was not acknowledged; `undefined` if it was. */
export type Failure = { readonly error: unknown } | undefined;

/** The failure of a command, by its reply or by what became of it. */
export const failureIn = (reply: unknown): Failure =>
  reply instanceof Error ? { error: reply } : undefined;

/** What became of each of several commands, of a call that has failed: some of them may have been answered. */
export function outcomesIn(error: unknown, commands: number): unknown[] {
  const outcomes = error instanceof PipelineError ? error.outcomes : [];
  return Array.from(
    { length: commands },
    (_, i) => i in outcomes ? outcomes[i] : error,
  );
}

/** The failure of each of several commands, of a call that has failed. */
export const failuresIn = (error: unknown, commands: number): Failure[] =>
  outcomesIn(error, commands).map(failureIn);

/** Each outlook in words, to stand before the time and the error's message. */
const IN_WORDS: Record<Outlook, string> = {
  away: "Redis has been away",
  refused: "Redis has refused to record",
  denied: "Redis has been unusable by this client",
  final: "Redis could not record",
};

const isAway = (outlook: Outlook): boolean =>
  outlook === "away" || outlook === "denied";

/** A time in which events cannot be recorded. It ends with the next acknowledgement. */
export class Outage {
  /** What to expect of a later attempt. */
  readonly outlook: Outlook;
  /** When it began: Unix time in milliseconds. */
  readonly since: number;
  /** What the last attempt failed with. */
  readonly error: unknown;

  /**
   * @param error What an attempt failed with.
   * @param outlook What to expect of a later attempt.
   * @param before The outage that there was already, if it goes on.
   */
  constructor(error: unknown, outlook: Outlook, before?: Outage) {
    this.error = error;
    this.outlook = outlook;
    this.since = before?.since ?? Date.now();
  }

  /** Whether an attempt now could only fail. A server that answers with a refusal is not away. */
  get isAway(): boolean {
    return isAway(this.outlook);
  }

  /** What it is, since when, and the error's message. */
  toString(): string {
    // A server that answers the handshake with a refusal is not away either.
    const what = IN_WORDS[
      this.outlook === "away" && isRefusal(this.error)
        ? "refused"
        : this.outlook
    ];
    const seconds = Math.max(0, (Date.now() - this.since) / 1000).toFixed(1);
    return `${what} for ${seconds} s: ${messageOf(this.error)}`;
  }
}

/** Answers by which a server of a cluster sends a command elsewhere. */
const REDIRECTS: readonly string[] = ["MOVED", "ASK"];

/** Whether a server takes events. Each attempt says so anew. */
export class Availability {
  readonly #isOneOfMany: boolean;
  #outage: Outage | undefined;
  #key = "";

  /** @param isOneOfMany Whether a key may go to another server later. */
  constructor(isOneOfMany: boolean) {
    this.#isOneOfMany = isOneOfMany;
  }

  /** Why it takes none; `undefined` if the last attempt succeeded. */
  get outage(): Outage | undefined {
    return this.#outage;
  }

  /** Whether an attempt now could only fail. */
  get isAway(): boolean {
    return this.#outage?.isAway === true;
  }

  /** The key that the last failed attempt was made with. */
  get key(): string {
    return this.#key;
  }

  /** What an error leads to expect of a later attempt. */
  outlookOf(error: unknown): Outlook {
    return this.#isOneOfMany ? outlookAmongMany(error) : outlookOf(error);
  }

  /** Whether a failure is that of the connection, and says nothing of the entries that were sent. */
  isFault(error: unknown): boolean {
    return isAway(this.outlookOf(error));
  }

  /** An attempt has failed. Only a failure that may pass is an outage. */
  failed(error: unknown, key: string): void {
    const outlook = this.outlookOf(error);
    if (outlook === "final") return;
    this.#outage = new Outage(error, outlook, this.#outage);
    this.#key = key;
  }

  /** The server has acknowledged an event, or it is in charge of none any more. */
  clear(): void {
    this.#outage = undefined;
  }
}

/** What an error leads to expect of a later attempt, where that may go to another server. */
export const outlookAmongMany = (error: unknown): Outlook =>
  // A redirect that is left over after several: the hash slot is on the move.
  isRedirect(error) ? "refused" : outlookOf(error);

const isRedirect = (error: unknown): boolean =>
  error instanceof RetryError
    ? isRedirect(error.cause)
    : error instanceof ReplyError && REDIRECTS.includes(error.code);

/** At most this many servers are named. */
const MAX_NAMES = 3;

/** What {@linkcode RecorderStats} say of the servers that take no events, the one that has taken none for longest first. */
export function describeOutages(
  outages: readonly (readonly [server: string, outage: Outage])[],
) {
  const [first] = outages;
  if (first === undefined) {
    return { awaySince: undefined, lastError: undefined, reason: undefined };
  }
  const [, { since, error }] = first;
  const names = outages.slice(0, MAX_NAMES).map(([server]) => server);
  const more = outages.length - names.length;
  const servers = outages.length === 1
    ? ""
    : ` (${outages.length} servers take no events: ${names.join(", ")}${
      more > 0 ? ` and ${more} more` : ""
    })`;
  return {
    awaySince: since,
    lastError: error,
    reason: `${first[1]}${servers}`,
  };
}

/** Whether an error reply is behind it. */
const isRefusal = (error: unknown): boolean =>
  error instanceof ReplyError ||
  (error instanceof Error && isRefusal(error.cause));
