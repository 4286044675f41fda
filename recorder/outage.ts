// Why events cannot be recorded at present, and since when.
import type { Outlook } from "../client/outlook.ts";
import { ReplyError } from "../resp/errors.ts";

/** Each outlook in words, to stand before the error's message. */
const IN_WORDS: Record<Outlook, string> = {
  away: "Redis is away",
  refused: "Redis refuses to record",
  denied: "Redis cannot be used by this client",
  final: "Redis cannot record",
};

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
    return this.outlook === "away" || this.outlook === "denied";
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
    return `${what}, for ${seconds} s: ${messageOf(this.error)}`;
  }
}

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

/** The text of an error. */
export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** Whether an error reply is behind it. */
const isRefusal = (error: unknown): boolean =>
  error instanceof ReplyError ||
  (error instanceof Error && isRefusal(error.cause));
