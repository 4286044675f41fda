// Which server is in charge of a call.
import type { Command } from "../../resp/types.ts";
import type { Server } from "./server.ts";

/** What a server is chosen by. */
export interface Routed {
  /** The command to be sent next; `undefined` for a lease. */
  readonly command: Command | undefined;
}

/**
 * The servers of a client. It is asked anew for each attempt: in between, the
 * data may have moved to another server.
 */
export interface Directory {
  /** The server in charge of a call now. */
  serverOf(call: Routed): Server;
  /** Every server that has been in use. */
  readonly servers: readonly Server[];
}

/** The directory of a client that has one server. */
export class SingleServer implements Directory {
  readonly servers: readonly Server[];
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
    this.servers = [server];
  }

  serverOf(_call: Routed): Server {
    return this.#server;
  }
}
