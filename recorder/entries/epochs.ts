// Which entries a flush waits for: those accepted before it, and none that come later.

/** The entries accepted between two flushes. */
export class Epoch {
  readonly #ended = Promise.withResolvers<void>();
  #open = 0;
  #isOver = false;

  /** Resolves once the epoch is over and each of its entries is recorded or dropped. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** An entry is accepted. */
  enter(): void {
    this.#open++;
  }

  /** An entry is recorded or dropped. */
  leave(): void {
    this.#open--;
    this.#resolveIfOver();
  }

  /** No more entries come. */
  end(): void {
    this.#isOver = true;
    this.#resolveIfOver();
  }

  #resolveIfOver(): void {
    if (this.#isOver && this.#open === 0) this.#ended.resolve();
  }
}

/** The epochs of a recorder. Each flush ends one. */
export class Epochs {
  readonly #earlier = new Set<Epoch>();
  #current = new Epoch();

  /** The one that takes new entries. */
  get current(): Epoch {
    return this.#current;
  }

  /** Resolves once each entry accepted so far is recorded or dropped. */
  async flushed(): Promise<void> {
    const ended = this.#current;
    this.#current = new Epoch();
    this.#earlier.add(ended);
    ended.end();
    ended.ended.then(() => this.#earlier.delete(ended));
    await Promise.all(Array.from(this.#earlier, ({ ended }) => ended));
  }
}
