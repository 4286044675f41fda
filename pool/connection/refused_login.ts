// A login that the server has refused, where a function may give other credentials: they are tried once.
import { ReplyError } from "../../resp/errors.ts";
import type { DialCredentials } from "../socket/credentials.ts";
import { DialError } from "../socket/dial_error.ts";
import { mask } from "../socket/secrets.ts";
import { socketErrorOf } from "../socket/socket_error.ts";
import type { Connection } from "./connection.ts";

/** What a server says of a wrong user or password, or of none; the last two before Redis 6. */
const REFUSALS =
  /^(?:WRONGPASS|NOAUTH|ERR invalid password|ERR operation not permitted)/;

const isLoginRefused = (error: unknown): error is DialError =>
  error instanceof DialError && error.cause instanceof ReplyError &&
  REFUSALS.test(error.cause.message);

/**
 * Asks for other credentials if a login was refused, and logs in with them.
 *
 * @param error What the dial has failed with.
 * @param refused What it has logged in with.
 * @param ask Asks for others.
 * @param connect Opens another connection with them.
 * @throws {DialError} If it was not about the login, or if that is refused again. It may be tried again then: a
 * server may hear of new credentials later than this client.
 */
export async function logInAnew(
  error: DialError,
  refused: DialCredentials,
  ask: () => Promise<DialCredentials | undefined>,
  connect: () => Promise<Connection>,
): Promise<Connection> {
  if (!isLoginRefused(error)) throw error;
  let others: DialCredentials | undefined;
  try {
    others = await ask();
  } catch (cause) {
    const message = mask(socketErrorOf(cause).message, refused.password);
    throw explained(error, `no other credentials: ${message}`, cause);
  }
  if (others === undefined) {
    throw explained(error, "the function of credentials gives no others");
  }
  try {
    return await connect();
  } catch (second) {
    if (!isLoginRefused(second)) throw second;
    throw explained(
      second,
      "these are the ones that the function of credentials gave after the first were refused",
    );
  }
}

const explained = (
  { endpoint, phase, reason, cause }: DialError,
  note: string,
  ofNote: unknown = cause,
): DialError =>
  new DialError(endpoint, phase, `${reason}; ${note}`, { cause: ofNote });
