// The first answer of several sources that hold the same.

/** Options of {@linkcode firstAnswer}. */
export interface FirstAnswerOptions<Source, Answer> {
  /** Asks one source; the signal aborts once another one has answered. */
  readonly ask: (source: Source, signal: AbortSignal) => Promise<Answer>;
  /** How long a source has before the next one is asked beside it, in milliseconds. */
  readonly staggerMs: number;
  /** Whether a failure is one that every source would give: it is thrown at once. */
  readonly isFinal: (error: unknown) => boolean;
}

/** No source has answered. */
export class NoAnswerError extends Error {
  /** What each source failed with, in the order of the sources. */
  readonly failures: readonly unknown[];

  constructor(failures: readonly unknown[]) {
    super(`none of ${failures.length} sources has answered`);
    this.failures = failures;
  }
}

/**
 * Asks one source after the other: the next one as soon as the last one has
 * failed or has been silent for a while, so that a slow link is not given up.
 *
 * @param sources In the order in which they are asked.
 * @throws {NoAnswerError} If all have failed.
 * @throws A failure that is final.
 */
export function firstAnswer<Source, Answer>(
  sources: readonly Source[],
  { ask, staggerMs, isFinal }: FirstAnswerOptions<Source, Answer>,
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const over = new AbortController();
  const failures: unknown[] = [];
  let started = 0;
  let failed = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const end = (): void => {
    clearTimeout(timer);
    over.abort();
  };
  const startNext = (): void => {
    clearTimeout(timer);
    if (over.signal.aborted || started === sources.length) return;
    const i = started++;
    timer = setTimeout(startNext, staggerMs);
    ask(sources[i]!, over.signal).then((answer) => {
      end();
      resolve(answer);
    }, (error) => {
      failures[i] = error;
      if (isFinal(error)) {
        end();
        return reject(error);
      }
      if (++failed < sources.length) return startNext();
      end();
      reject(new NoAnswerError(failures));
    });
  };
  if (sources.length === 0) reject(new NoAnswerError([]));
  startNext();
  return promise;
}
