// Error replies by which the server says that it did not run the command.
import { ReplyError } from "../resp/mod.ts";

const NOT_RUN: ReadonlySet<string> = new Set([
  "LOADING", // reading its data set after a start
  "READONLY", // a replica now
  "MASTERDOWN",
  "CLUSTERDOWN",
  "TRYAGAIN",
  "BUSY", // a script runs
]);

/**
 * Whether the server refused before running anything, for a reason that passes.
 *
 * @see {@link https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors}
 */
export const isNotRun = ({ code, message }: ReplyError): boolean =>
  NOT_RUN.has(code) || message.startsWith("ERR max number of clients");

/** Whether the server answered after running the command. A refusal is no answer: an attempt before it may have run. */
export const isAnswer = (error: unknown): boolean =>
  error instanceof ReplyError && !isNotRun(error);
