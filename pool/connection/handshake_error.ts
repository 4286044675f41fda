// Why a Redis handshake failed, as a DialError.
import { ReplyError } from "../../resp/errors.ts";
import { DialError } from "../socket/dial_error.ts";
import type { Endpoint } from "../socket/endpoint.ts";
import { mask } from "../socket/secrets.ts";
import { ConnectionClosedError } from "./connection_closed_error.ts";
import type { Login } from "./greetings.ts";
import { isKnownCode, isPassingInHandshake } from "./refusal.ts";

/** The server has refused a command that must succeed. */
export function refusedError(
  login: Login,
  name: string,
  reply: ReplyError,
  hint?: string,
): DialError {
  const text = textOf(login, reply);
  return new DialError(
    login.endpoint,
    "handshake",
    `the server refused ${name}: ${text}${
      hint === undefined ? "" : `; ${hint}`
    }`,
    {
      cause: new ReplyError(text),
      isRetriable: isPassingInHandshake(reply),
    },
  );
}

/** The same error, with the text by which HELLO was refused before: it may say more. */
export function withRefusalOfHello(
  login: Login,
  error: unknown,
  hello: ReplyError,
): unknown {
  if (!(error instanceof DialError)) return error;
  const { cause, isRetriable } = error;
  return new DialError(
    login.endpoint,
    "handshake",
    `${error.reason}; HELLO was refused before: ${textOf(login, hello)}`,
    { cause, isRetriable },
  );
}

/** The connection has ended in the handshake. */
export function closedError(
  endpoint: Endpoint,
  error: ConnectionClosedError,
): DialError {
  const { how, cause, bytesIn } = error.report;
  const isPlain = endpoint.tls === undefined && endpoint.path === undefined;
  const reason = how === "protocol-error"
    ? `the server does not speak the Redis protocol: ${cause}`
    : how === "silence"
    ? `the server accepted the connection and sent nothing (${cause})`
    : `the connection ended before Redis had answered (${
      how === "fin" ? "FIN" : cause ?? how
    })${isPlain && bytesIn === 0 ? ": is this a TLS port (rediss://)?" : ""}`;
  return new DialError(endpoint, "handshake", reason, {
    cause: error,
    isRetriable: how !== "protocol-error" && how !== "tls-alert" &&
      !/invalid peer certificate/.test(cause ?? ""), // Node before 2.7 says so late
  });
}

/** Whether the peer has closed the connection in the middle of the handshake. */
export const wasCut = (error: unknown): boolean =>
  error instanceof DialError &&
  error.cause instanceof ConnectionClosedError &&
  ["fin", "rst"].includes(error.cause.report.how);

/** The text of a refusal without arguments: a server that does not know a command repeats them. */
function textOf(
  { credentials }: Login,
  { code, message }: ReplyError,
): string {
  const [text = ""] = message.split(", with args");
  // A password may have letters in common with WRONGPASS: that is no echo.
  const shown = isKnownCode(code) && text.startsWith(code) ? code.length : 0;
  return text.slice(0, shown) +
    mask(text.slice(shown), credentials?.password);
}
