// The error of a wait for a server that has left its deployment.

/** A server has left: the call goes to the one that has taken its place. Nothing was sent. */
export class DepartedError extends Error {
  /** Always `"DepartedError"`. */
  override readonly name = "DepartedError";
  /** Always `"unsent"`. */
  readonly fate = "unsent";
}
