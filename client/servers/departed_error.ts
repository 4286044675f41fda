// The error of a call to a server that has left its deployment.

/**
 * A server has left its cluster, or is not the primary any more. Nothing was sent: the
 * fate is `"unsent"`. A client sends the call to the server in its place; a call on a
 * `RedisNode` rejects with this error.
 *
 * @example A node that has left
 * ```ts
 * import { DepartedError } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new DepartedError("h:7000 has left the cluster of h:7001");
 * assertEquals(error.fate, "unsent");
 * ```
 */
export class DepartedError extends Error {
  /** Always `"DepartedError"`. */
  override readonly name = "DepartedError";
  /** Always `"unsent"`. */
  readonly fate = "unsent";
}
