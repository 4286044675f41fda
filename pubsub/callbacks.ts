// The callbacks of a subscription, called one after the other.
import { printException } from "../pool/connection/print_exception.ts";
import type { Item } from "./items.ts";
import type { SubscribeOptions } from "./options.ts";

type Payload = string | Uint8Array;

/**
 * Delivers items by callback.
 *
 * - Until a callback has returned, and its promise is settled, no other is called.
 * - What one throws, or rejects with, goes to the console, and ends nothing.
 */
export class Callbacks {
  readonly #options: SubscribeOptions<boolean>;
  readonly #take: () => Item<Payload> | undefined;
  #isBusy = false;
  #isBehind = false; // something has come while it was busy
  #end: { readonly error: unknown } | undefined;

  /**
   * @param options Those of the subscription.
   * @param take Takes the next item that waits.
   */
  constructor(
    options: SubscribeOptions<boolean>,
    take: () => Item<Payload> | undefined,
  ) {
    this.#options = options;
    this.#take = take;
  }

  /**
   * Delivers an item.
   *
   * @returns Whether it has; if not the item must wait, and is taken later.
   */
  offer(item: Item<Payload>): boolean {
    if (this.#isBusy) {
      this.#isBehind = true;
      return false;
    }
    this.#call(item);
    if (this.#isBehind && !this.#isBusy) this.#goOn();
    return true;
  }

  /** Calls `onEnd` once everything that waits was delivered. */
  end(error: unknown): void {
    this.#end = { error };
    if (this.#isBusy) this.#isBehind = true;
    else this.#callEnd();
  }

  #call(item: Item<Payload>): void {
    const { onMessage, onGap, onAway } = this.#options;
    const callback =
      (item.type === "message"
        ? onMessage
        : item.type === "gap"
        ? onGap
        : onAway) as ((item: Item<Payload>) => unknown) | undefined;
    this.#isBusy = true;
    try {
      const result = callback?.(item);
      if (result instanceof Promise) {
        result.catch((error) =>
          printException("a callback of a subscription", error)
        )
          .then(this.#goOn);
        return;
      }
    } catch (error) {
      printException("a callback of a subscription", error);
    }
    this.#isBusy = false;
  }

  readonly #goOn = (): void => {
    this.#isBusy = this.#isBehind = false;
    while (!this.#isBusy) {
      const item = this.#take();
      if (item === undefined) return this.#callEnd();
      this.#call(item);
    }
  };

  #callEnd(): void {
    if (this.#end === undefined) return;
    try {
      this.#options.onEnd?.(this.#end.error);
    } catch (error) {
      printException("onEnd of a subscription", error);
    }
  }
}
