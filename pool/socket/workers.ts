// Cloudflare Workers as a runtime: its sockets.
import { DialError } from "./dial_error.ts";
import type { Endpoint } from "./endpoint.ts";
import type { DialOptions, Socket } from "./socket.ts";

export function connect(
  endpoint: Endpoint,
  _options: DialOptions,
): Promise<Socket> {
  return Promise.reject(
    new DialError(
      endpoint,
      "connect",
      "there is no dial for Cloudflare Workers yet",
      { isRetriable: false },
    ),
  );
}
