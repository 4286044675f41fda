// As which user a connection logs in, asked at each dial.

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

/**
 * The credentials of a URL and its options.
 *
 * @param username The user; `""` is none.
 * @param password The password; `""` is none.
 * @returns The credentials, or `undefined` without either. A password alone is that of the user `default`.
 */
export const fixedCredentials = (
  username: string,
  password: string,
): Credentials | undefined =>
  username === "" && password === ""
    ? undefined
    : { username: username || "default", password };
