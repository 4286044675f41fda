// Credentials that a function gives: when it is asked, how long its answer serves, and when connections are replaced.
import type {
  Credentials,
  CredentialsFunction,
  CredentialsRequest,
  DialCredentials,
} from "./credentials.ts";

/** The share of its life after which an answer serves no further dial. */
const FRESH = 0.75;
/** The share of what is left of that life, or of a session, after which a connection is replaced: by chance between these. */
const DUE = { least: 0.8, most: 0.9 };
/** An answer that has expired, or was refused, serves dials for this long, in milliseconds: it may be a clock that is wrong. */
const LEAST_FRESH_MS = 1000;
/** No connection is replaced sooner: with a clock that is wrong each one would be at once. Tests shorten it. */
export const LEAST_SESSION = { ms: 30_000 };
/** A dial that could use the last answer waits for another one no longer than this, in milliseconds. */
const RENEWAL_MS = 500;
/** For how long the failure of a question serves dials, in milliseconds; it doubles with each further one. */
const FAILURE_MS = { least: 50, most: 1000 };
/** No Unix time in milliseconds since 1973 is less; those in seconds are. */
const LEAST_TIME = 1e11;

/** Clocks and chance, for tests. */
export interface Circumstances {
  /** `performance.now`. */
  readonly now: () => number;
  /** `Date.now`. */
  readonly wall: () => number;
  /** Gives numbers of 0 or more, less than 1. */
  readonly random: () => number;
}

const CIRCUMSTANCES: Circumstances = {
  now: () => performance.now(),
  wall: () => Date.now(),
  random: Math.random,
};

/** A moment by both clocks. */
interface Moment {
  readonly now: number;
  readonly wall: number;
}

/** An answer of the function, checked. */
interface Answer {
  readonly username: string;
  readonly password: string;
  /** When it came. */
  readonly at: Moment;
  /** How long it serves from then on, in milliseconds; `undefined`: for the dials that have asked for it. */
  readonly lifeMs: number | undefined;
  readonly sessionMs: number | undefined;
  isRefused: boolean;
}

/** One question to the function. */
interface Question {
  readonly at: Moment;
  readonly abort: AbortController;
  readonly answer: Promise<Answer>;
  waiting: number;
}

/**
 * Credentials that a function gives.
 *
 * - One question is asked at a time, however many dials wait for it.
 * - Its answer serves dials for three quarters of its life. While another one
 *   cannot be had, it serves until it expires.
 * - A question ends when no dial waits for it, and is not shared after its timeout.
 * - What the server has refused is asked for anew, at most once a second.
 * - Two clocks measure each time, since one stands still while the machine sleeps
 *   and the other may be set: the one that has gone further counts.
 */
export class ChangingCredentials {
  readonly #ask: CredentialsFunction;
  readonly #circumstances: Circumstances;
  #last: Answer | undefined;
  #question: Question | undefined;
  #failures = 0; // since the last answer
  #failure: { readonly reason: unknown; readonly at: Moment } | undefined;

  /**
   * @param ask The function.
   * @param circumstances See {@linkcode Circumstances}.
   */
  constructor(
    ask: CredentialsFunction,
    circumstances: Circumstances = CIRCUMSTANCES,
  ) {
    this.#ask = ask;
    this.#circumstances = circumstances;
  }

  /**
   * Credentials for a dial.
   *
   * @returns `undefined` after a refusal if there are no others.
   * @throws What the function throws, or an error that says what is wrong with its answer.
   */
  async forDial(
    request: CredentialsRequest,
  ): Promise<DialCredentials | undefined> {
    const { refused } = request;
    if (refused !== undefined) return await this.#others(refused, request);
    return this.#login(await this.#answerFor(request));
  }

  async #answerFor(request: CredentialsRequest): Promise<Answer> {
    const last = this.#last;
    if (last === undefined) return await this.#wait(request);
    if (this.#isFresh(last)) return last;
    const mayServe = !last.isRefused && this.#leftMs(last) > 0;
    return mayServe
      ? await this.#renew(last, request)
      : await this.#wait(request);
  }

  /** Asks, but not for long: the last answer serves until it expires. */
  async #renew(last: Answer, request: CredentialsRequest): Promise<Answer> {
    const over = new AbortController();
    const leave = () => over.abort(request.signal.reason);
    const timer = setTimeout(leave, RENEWAL_MS);
    request.signal.addEventListener("abort", leave, { once: true });
    try {
      return await this.#wait({ ...request, signal: over.signal });
    } catch {
      request.signal.throwIfAborted();
      return last;
    } finally {
      clearTimeout(timer);
      request.signal.removeEventListener("abort", leave);
    }
  }

  /** Others than those that the server has refused. */
  async #others(
    refused: DialCredentials,
    request: CredentialsRequest,
  ): Promise<DialCredentials | undefined> {
    const isRefused = (answer: Answer) =>
      answer.username === refused.username &&
      answer.password === refused.password;
    const last = this.#last;
    if (last !== undefined) {
      if (!isRefused(last)) return this.#login(last); // another dial has asked
      if (last.isRefused && this.#isFresh(last)) return undefined;
      last.isRefused = true;
    }
    const wasAsked = this.#shared(request.timeoutMs) !== undefined;
    let answer = await this.#wait(request);
    // A question from before the refusal: its answer may be from before as well.
    if (wasAsked && isRefused(answer)) answer = await this.#wait(request);
    if (!isRefused(answer)) return this.#login(answer);
    answer.isRefused = true;
    return undefined;
  }

  /** Waits for an answer: to the question under way, or to a new one. */
  async #wait({ signal, timeoutMs }: CredentialsRequest): Promise<Answer> {
    signal.throwIfAborted();
    const question = this.#shared(timeoutMs) ?? this.#newQuestion();
    question.waiting++;
    return await new Promise((resolve, reject) => {
      const leave = () => {
        signal.removeEventListener("abort", leave);
        if (--question.waiting === 0) this.#end(question, signal.reason);
        reject(signal.reason);
      };
      signal.addEventListener("abort", leave);
      question.answer.then(resolve, reject).finally(() =>
        signal.removeEventListener("abort", leave)
      );
    });
  }

  /** The question under way. One that has taken too long is given up: its answer may never come. */
  #shared(timeoutMs: number): Question | undefined {
    const question = this.#question;
    if (question === undefined) return undefined;
    if (this.#sinceMs(question.at) < timeoutMs) return question;
    this.#end(question, new Error(`no answer within ${timeoutMs} ms`));
    return undefined;
  }

  #newQuestion(): Question {
    const { least, most } = FAILURE_MS;
    const failure = this.#failure;
    if (failure !== undefined) {
      const pauseMs = Math.min(most, least * 2 ** (this.#failures - 1));
      if (this.#sinceMs(failure.at) < pauseMs) throw failure.reason;
    }
    const abort = new AbortController();
    const question: Question = {
      at: this.#moment(),
      abort,
      answer: this.#answer(abort.signal),
      waiting: 0,
    };
    this.#question = question;
    question.answer.then((answer) => {
      if (this.#question !== question) return; // it was given up
      this.#question = undefined;
      this.#last = answer;
      this.#failure = undefined;
      this.#failures = 0;
    }, (reason) => {
      if (this.#question !== question) return;
      this.#question = undefined;
      this.#failure = { reason, at: this.#moment() };
      this.#failures++;
    });
    return question;
  }

  async #answer(signal: AbortSignal): Promise<Answer> {
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    signal.addEventListener("abort", () => reject(signal.reason));
    const ask = this.#ask;
    // The function may ignore the signal.
    const given = await Promise.race([ask({ signal }), aborted]);
    return { ...checked(given, this.#moment()), isRefused: false };
  }

  #end(question: Question, reason: unknown): void {
    if (this.#question !== question) return;
    this.#question = undefined;
    question.abort.abort(reason);
  }

  #login(answer: Answer): DialCredentials {
    const { username, password, sessionMs } = answer;
    const { least, most } = DUE;
    const limitMs = sessionMs ?? this.#leftMs(answer);
    const share = least + (most - least) * this.#circumstances.random();
    const at = this.#moment();
    return {
      username,
      password,
      isDue: (request) =>
        this.#sinceMs(at) >= Math.max(LEAST_SESSION.ms, limitMs * share) &&
        this.#canReplace(answer, request),
    };
  }

  /** Whether there is an answer for the connection in the place of one that logged in with `old`. If not, it is asked for. */
  #canReplace(old: Answer, request: CredentialsRequest): boolean {
    const last = this.#last;
    const isFresh = last !== undefined && this.#isFresh(last);
    if (last !== undefined && !last.isRefused) {
      const serves = last.lifeMs === undefined
        ? last !== old
        : old.sessionMs !== undefined
        ? isFresh
        : endOf(last) > endOf(old);
      if (serves) return true;
    }
    const isAsked = isFresh || this.#shared(request.timeoutMs) !== undefined;
    if (!isAsked) this.#wait(request).catch(() => {}); // it is asked for again
    return false;
  }

  #isFresh({ at, lifeMs, isRefused }: Answer): boolean {
    const ageMs = this.#sinceMs(at);
    if (isRefused) return ageMs < LEAST_FRESH_MS;
    return lifeMs !== undefined &&
      ageMs < Math.max(FRESH * lifeMs, LEAST_FRESH_MS);
  }

  /** What is left of the life of an answer, in milliseconds; `Infinity` if it does not say. */
  #leftMs({ at, lifeMs = Infinity }: Answer): number {
    return lifeMs - this.#sinceMs(at);
  }

  #moment(): Moment {
    const { now, wall } = this.#circumstances;
    return { now: now(), wall: wall() };
  }

  #sinceMs({ now, wall }: Moment): number {
    const moment = this.#moment();
    return Math.max(moment.now - now, moment.wall - wall);
  }
}

/** When an answer ends, Unix time in milliseconds. */
const endOf = ({ at, lifeMs = Infinity }: Answer): number => at.wall + lifeMs;

const EXPECTED = "expected { username?, password, expiresAt?, sessionMs? }";

/**
 * Checks what the function has given. No value is repeated: any may be a misplaced password.
 *
 * @throws {TypeError} If it cannot be used.
 */
function checked(
  given: Credentials | null | undefined,
  at: Moment,
): Omit<Answer, "isRefused"> {
  if (typeof given !== "object" || given === null) {
    throw new TypeError(
      `credentials() gave ${
        given === null ? "null" : `a value of type ${typeof given}`
      }, ${EXPECTED}`,
    );
  }
  const { username = "", password, expiresAt, sessionMs } = given;
  if (typeof username !== "string") refuse("username", username, "a string");
  if (typeof password !== "string") refuse("password", password, "a string");
  const endsAt = expiresAt instanceof Date ? expiresAt.getTime() : expiresAt;
  if (
    endsAt !== undefined &&
    (typeof endsAt !== "number" || Number.isNaN(endsAt))
  ) {
    refuse(
      "expiresAt",
      expiresAt,
      "Unix time in milliseconds, or a valid Date",
    );
  }
  if (endsAt !== undefined && endsAt < LEAST_TIME) {
    throw new TypeError(
      "credentials() gave an expiresAt before 1973: expected Unix time in milliseconds, these may be seconds",
    );
  }
  if (
    sessionMs !== undefined && !(typeof sessionMs === "number" && sessionMs > 0)
  ) refuse("sessionMs", sessionMs, "a number of more than 0");
  return {
    username: username || "default",
    password,
    at,
    lifeMs: endsAt === undefined ? undefined : endsAt - at.wall,
    sessionMs,
  };
}

function refuse(name: string, value: unknown, expected: string): never {
  throw new TypeError(
    `credentials() gave ${
      value === undefined ? `no ${name}` : `${name} of type ${typeof value}`
    }, expected ${expected}`,
  );
}
