// What close() waits for: the calls under way, and the leases that are held.
import { MAX_TIMER_MS } from "./check.ts";

/** Counts what is under way, and waits until nothing is. */
export class Drain {
  readonly #over = Promise.withResolvers<void>();
  #underWay = 0;
  #isClosing = false;
  #dueAt = Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Whether nothing new may begin. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Whether nothing is under way. */
  get isIdle(): boolean {
    return this.#underWay === 0;
  }

  /** Something begins. */
  enter(): void {
    this.#underWay++;
  }

  /** Something has ended. */
  leave(): void {
    if (--this.#underWay === 0 && this.#isClosing) this.#end();
  }

  /**
   * Waits until nothing is under way. Called again, it can bring the end of the
   * wait forward, and not put it off.
   *
   * @param ms The longest wait, in milliseconds from now.
   */
  within(ms: number): Promise<void> {
    this.#isClosing = true;
    const dueAt = performance.now() + ms;
    if (this.#underWay === 0 || ms === 0) this.#end();
    else if (dueAt < this.#dueAt) {
      this.#dueAt = dueAt;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#end(), Math.min(ms, MAX_TIMER_MS));
    }
    return this.#over.promise;
  }

  #end(): void {
    this.#dueAt = -Infinity;
    clearTimeout(this.#timer);
    this.#over.resolve();
  }
}
