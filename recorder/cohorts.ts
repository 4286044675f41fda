// Which events a flush waits for: those accepted before it, and none that come later.

/** Events accepted between two flushes. */
export class Cohort {
  /** How many have not come to their end. */
  open = 0;
  readonly #over = Promise.withResolvers<void>();

  /** Resolves once all have come to their end. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** All have come to their end. */
  end(): void {
    this.#over.resolve();
  }
}

/** All cohorts with events that have not come to their end, and the one that takes new ones. */
export class Cohorts {
  #latest = new Cohort();
  readonly #earlier = new Set<Cohort>();

  /** An event is accepted: it belongs to the cohort that is returned. */
  join(): Cohort {
    this.#latest.open++;
    return this.#latest;
  }

  /** An event has come to its end. */
  leave(cohort: Cohort): void {
    if (--cohort.open === 0 && this.#earlier.delete(cohort)) cohort.end();
  }

  /** Resolves once every event accepted so far has come to its end. */
  async over(): Promise<void> {
    if (this.#latest.open > 0) {
      this.#earlier.add(this.#latest);
      this.#latest = new Cohort();
    }
    await Promise.all(Array.from(this.#earlier, (cohort) => cohort.over));
  }
}
