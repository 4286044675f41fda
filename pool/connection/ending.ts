// Which side an error of a wire points to.
import { ProtocolError } from "../../resp/errors.ts";
import { socketErrorOf } from "../socket/socket_error.ts";
import type { CloseReport } from "./close_report.ts";

/** How a wire ended, and the text that says more. */
export type Ending = Pick<CloseReport, "by" | "how"> & { cause?: string };

/** Which side an error of the socket or the parser points to. Never throws. */
export function endingOf(error: unknown): Ending {
  const failure = socketErrorOf(error);
  const cause = failure.message;
  if (failure.cause instanceof ProtocolError) {
    return { by: "server", how: "protocol-error", cause };
  }
  switch (failure.how) {
    case "fin": // the server's process ended or was told to end
      return {
        by: "server",
        how: "fin",
        cause: failure.cause === undefined
          ? cause // of a socket of the user's own
          : "closed without a TLS close_notify",
      };
    case "tls":
      return { by: "server", how: "tls-alert", cause };
    case "silence":
      return { by: "network", how: "silence", cause };
    default:
      return { by: "network", how: "rst", cause };
  }
}

/** Whether it ended because a reply was larger than this client accepts. */
export const isOverLimit = ({ how, cause }: CloseReport): boolean =>
  how === "protocol-error" && cause?.startsWith("Reply too large") === true;
