// Which server is in charge of a call.
import type { Command } from "../../resp/types.ts";
import type { Server } from "./server.ts";

/** What a server is chosen by. */
export interface Routed {
  /** The command to be sent next; `undefined` for a lease. */
  readonly command: Command | undefined;
}

/**
 * Says which server is in charge. It is asked again for each attempt: in between, the
 * data may have moved to another server.
 */
export interface Directory {
  /** The server in charge of a call now. */
  serverOf(call: Routed): Server;
}

/** The directory of a client that has one server. */
export class SingleServer implements Directory {
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
  }

  serverOf(_call: Routed): Server {
    return this.#server;
  }
}
