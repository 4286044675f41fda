// The commands of a Redis handshake, and which refusals of them are fatal.
import type { ReplyError } from "../../resp/errors.ts";
import type { Command } from "../../resp/types.ts";
import type { Credentials } from "../socket/credentials.ts";
import type { Endpoint } from "../socket/endpoint.ts";
import { isPassingInHandshake } from "./refusal.ts";

/** Where a handshake leads, and as which user. */
export interface Login {
  readonly endpoint: Endpoint;
  readonly credentials: Credentials | undefined;
}

/** A command of the handshake. */
export interface Step {
  /** What is sent. */
  readonly command: Command;
  /** Whether a refusal ends the handshake. */
  readonly onRefusal: "fatal" | "ignore";
}

/** For Redis 6 and later: https://redis.io/docs/latest/commands/hello/ */
export function hello({ endpoint, credentials }: Login): Command {
  const command: [string, ...string[]] = ["HELLO", "2"];
  if (credentials !== undefined) {
    command.push("AUTH", credentials.username, credentials.password);
  }
  if (endpoint.clientName !== undefined) {
    command.push("SETNAME", endpoint.clientName);
  }
  return command;
}

/** Whether a refusal of HELLO is fatal: no other greeting would be answered better. */
export const isFinal = (refusal: ReplyError): boolean =>
  refusal.code === "WRONGPASS" || refusal.code === "DENIED" ||
  isPassingInHandshake(refusal);

/** Selects the database, if it is not the first one. */
export const selection = ({ database }: Endpoint): Step[] =>
  database === 0 ? [] : [{ command: ["SELECT", database], onRefusal: "fatal" }];

/** Asks for the id of the connection, where HELLO does not give it. */
export const CLIENT_ID: Command = ["CLIENT", "ID"];

/**
 * Where HELLO is refused, after the login. One step must be answered, or a peer
 * that is silent or does not speak Redis would be taken for a server.
 */
export function olderGreeting(endpoint: Endpoint): Step[] {
  const { clientName } = endpoint;
  return [
    ...(clientName === undefined ? [] : [{
      command: ["CLIENT", "SETNAME", clientName] as const,
      onRefusal: "ignore" as const,
    }]),
    { command: CLIENT_ID, onRefusal: "ignore" },
    ...bareGreeting(endpoint),
  ];
}

/** For a peer that closes the connection on a command that it does not know. */
export const bareGreeting = (endpoint: Endpoint): Step[] => [
  { command: ["PING"], onRefusal: "fatal" },
  ...selection(endpoint),
];

/** The logins to try where HELLO is not known. A server before Redis 6 has no users, and takes the password alone. */
export function logins({ credentials }: Login): Command[] {
  if (credentials === undefined) return [];
  const { username, password } = credentials;
  const alone: Command = ["AUTH", password];
  return username === "default"
    ? [alone]
    : [["AUTH", username, password], alone];
}

/** Whether AUTH was refused because the server asks for no password: before Redis 6, and since. */
export const takesNoPassword = ({ message }: ReplyError): boolean =>
  /no password is set|without any password configured/i.test(message);

/** Whether AUTH with two arguments was refused because the server has no users: before Redis 6. */
export const takesNoUser = ({ message }: ReplyError): boolean =>
  /number of arguments|too many arguments|syntax error/i.test(message);
