// Whether a server takes events at present.
import { type Outlook, outlookOf } from "../client/outlook.ts";
import { ReplyError } from "../resp/errors.ts";
import { RetryError } from "../retry/retry.ts";
import { Outage } from "./outage.ts";

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
