// The user that a connection logs in as, asked for at each dial.

/** A user and a password, for AUTH. */
export interface Credentials {
  /** The ACL user. */
  readonly username: string;
  /** The password; empty for a user without one. */
  readonly password: string;
}

/**
 * Where credentials come from. It is called at each dial, since they may have
 * changed since the last one; `undefined` means that none are sent. What it
 * returns is masked in every text of that connection.
 */
export type CredentialsSource = () =>
  | Credentials
  | undefined
  | Promise<Credentials | undefined>;
