// The webhook service on Bun 1.2 or later.
//
//   bunx jsr add @unzombie/redis
//   OUTBOX=/var/lib/webhooks/queued REDIS_URL=rediss://… bun webhook_service/hosts/bun.ts
import process from "node:process";
import { runService } from "../process.ts";

/** The part of Bun that is needed. The package @types/bun has all of it. */
declare const Bun: {
  serve(options: {
    port: number;
    fetch(request: Request): Promise<Response>;
  }): {
    readonly port: number;
    stop(closeConnections?: boolean): Promise<void>;
  };
};

await runService({
  env: { get: (name) => process.env[name] },
  listen(port, answer) {
    const server = Bun.serve({ port, fetch: answer });
    return {
      port: server.port,
      async shutdown() {
        await server.stop();
        await server.stop(true); // open connections would be served further requests
      },
    };
  },
  onSignal: (name, callback) => process.once(name, callback),
  exit: (code) => process.exit(code),
});
