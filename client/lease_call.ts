// A call for a connection of one's own.
import type { PushRight } from "../pool/connection/push_right.ts";
import { Call, type CallEngine } from "./call.ts";
import type { SendOptions } from "./send_options.ts";

/** A connection that was taken out of its pool, for one holder. */
export interface HeldConnection {
  /** The right to push on it. */
  readonly right: PushRight;
  /** Gives it back; `clean` if its state is as the handshake left it. */
  release(clean: boolean): void;
  /** Its server is a replica: it is closed when it is given back. */
  leaveReplica(): void;
}

/** It has its outcome when a connection is free. Until that is given back, it counts as under way. */
export class LeaseCall extends Call {
  readonly #resolve: (held: HeldConnection | Promise<never>) => void;

  constructor(
    engine: CallEngine,
    options: SendOptions,
    resolve: (held: HeldConnection | Promise<never>) => void,
    reject: (reason: unknown) => void,
  ) {
    super(engine, options, reject);
    this.#resolve = resolve;
  }

  get name(): string {
    return "lease";
  }

  override get purpose(): string {
    return "lease a connection";
  }

  get command(): undefined {
    return undefined;
  }

  get need(): "lease" {
    return "lease";
  }

  sendOn(right: PushRight): void {
    const server = this.server!;
    this.finish();
    this.#resolve({
      right,
      release: (clean) => {
        server.release(right, clean);
        this.engine.ended(false);
      },
      leaveReplica: () => server.leaveReplica(right.connection),
    });
  }

  protected override resolveWith(failed: Promise<never>): void {
    this.#resolve(failed);
  }
}
