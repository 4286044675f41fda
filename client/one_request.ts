// Use within one request: on Cloudflare Workers a socket belongs to the request that has opened it.
import { runtime } from "../pool/socket/runtime.ts";

/** Refuses what comes from another request than the first. */
export class OneRequest {
  readonly #what: string;
  readonly #mark: () => () => boolean;
  #isSame: (() => boolean) | undefined;

  /**
   * @param what What is used, for errors.
   * @param mark See `Runtime.markRequest`.
   */
  constructor(what: string, mark: () => () => boolean) {
    this.#what = what;
    this.#mark = mark;
  }

  /**
   * To be called before anything is sent. The first call says which request it is.
   *
   * @param purpose What is to be done, to follow "Cannot" in an error.
   * @throws {TypeError} If this is another request.
   */
  assert(purpose: string): void {
    this.#isSame ??= this.#mark();
    if (this.#isSame()) return;
    throw new TypeError(
      `Cannot ${purpose}: this ${this.#what} was first used in another request, and on Cloudflare Workers ` +
        `a socket belongs to the request that has opened it. Make a client for each request, or let a Durable Object have it`,
    );
  }
}

/**
 * What limits the use of a client or a recorder to one request; `undefined` where
 * sockets belong to the process.
 */
export const oneRequest = (
  what: string,
  mark: (() => () => boolean) | undefined = runtime.markRequest,
): OneRequest | undefined => mark && new OneRequest(what, mark);
