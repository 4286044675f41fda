// The user that a connection logs in as: what a client is given, and what a dial asks for.

/** What the function `credentials` gives. It is never printed. */
export interface Credentials {
  /** The ACL user. @default {"default"} */
  readonly username?: string | undefined;
  /** The password or token. */
  readonly password: string;
  /**
   * Until when a dial may use them: Unix time in milliseconds, or a `Date`. They are
   * kept until shortly before, and connections that logged in with them are replaced
   * before. @default {they are asked for at each dial, and no connection is replaced}
   */
  readonly expiresAt?: number | Date | undefined;
  /**
   * How long a connection may be used that has logged in with them, in milliseconds, where
   * that does not depend on `expiresAt`. @default {until `expiresAt`}
   */
  readonly sessionMs?: number | undefined;
}

/**
 * Gives the user and the password of the moment.
 *
 * @param options `signal` is aborted when no dial waits for the answer any more.
 * @returns The credentials, or a promise of them.
 */
export type CredentialsFunction = (
  options: { readonly signal: AbortSignal },
) => Credentials | Promise<Credentials>;

/** A user and a password, for AUTH. */
export interface DialCredentials {
  /** The ACL user. */
  readonly username: string;
  /** The password; empty for a user without one. */
  readonly password: string;
  /**
   * Whether a connection that logged in with them should be replaced now: they end soon,
   * and there are others for the next one. Asks for others in the background.
   *
   * @param request `signal` ends the question.
   */
  isDue?(request: CredentialsRequest): boolean;
}

/** What a dial says when it asks for credentials. */
export interface CredentialsRequest {
  /** Ends the wait for them. */
  readonly signal: AbortSignal;
  /** How long a function may take to answer, in milliseconds. */
  readonly timeoutMs: number;
  /** Those that the server has just refused: others are asked for, if there may be any. */
  readonly refused?: DialCredentials;
}

/**
 * Where credentials come from. It is called at each dial, since they may have
 * changed since the last one; `undefined` means that none are sent, or, after a
 * refusal, that there are no others. What it returns is masked in every text of
 * that connection.
 */
export type CredentialsSource = (
  request: CredentialsRequest,
) => DialCredentials | undefined | Promise<DialCredentials | undefined>;
