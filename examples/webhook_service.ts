// A webhook service: counts what it receives in Redis, and answers at once, whether Redis can be reached or not.
//
//   POST /webhooks/:mallId/:shopNo/:eventType                    200 recorded, 202 queued, 429 blocked, 503 dropped
//   GET  /frequency/:mallId/:shopNo/:eventType?windowSeconds=60  how many lately
//   GET  /status                                                 how it stands, for a person; with ADMIN_TOKEN only
//   GET  /healthz                                                200, or 503 while the server of its own key does not answer
//   GET  /blocked                                                the shops that are blocked
//   PUT, DELETE /blocked/:mallId/:shopNo?seconds=600&reason=…    block a shop, let it through
//
// The routes of /blocked exist with LIMIT only, PUT and DELETE with ADMIN_TOKEN as well.
//
// Environment variables, all of them optional:
//
//   REDIS_URL       one server (redis://127.0.0.1:6379), a cluster (rediss://…?cluster=true)
//                   or what Sentinels name (redis://…?sentinel=name)
//   PORT            where to listen (8000)
//   OUTBOX          the file that keeps what is queued beyond the end of the process; or
//                   kv, which is Deno KV, for Deno Deploy. Without it that is lost
//   LIMIT           more events than this of a shop and type in WINDOW_SECONDS (60) block
//                   the shop for BLOCK_SECONDS (600). Without it no shop is blocked
//   ADMIN_TOKEN     if it is set, each request to /blocked and /status must have the header
//                   "Authorization: Bearer <ADMIN_TOKEN>"; if not, the list is open. In a
//                   browser it is the password of /status, with any name
//
// This file and the folder of its name beside it are a whole service, on Deno
// Deploy, too. In that folder, hosts/ has the same service for Node, Bun and
// Cloudflare Workers. Copy them and add the module. The directory of OUTBOX must exist.
// With --allow-net=… every node of a cluster must be in the list:
//
//   deno add jsr:@unzombie/redis
//   OUTBOX=/var/lib/webhooks/queued REDIS_URL=rediss://… deno run --allow-net \
//     --allow-env=REDIS_URL,PORT,OUTBOX,LIMIT,WINDOW_SECONDS,BLOCK_SECONDS,ADMIN_TOKEN \
//     --allow-read=/var/lib/webhooks/queued --allow-write=/var/lib/webhooks/queued webhook_service.ts
//
// The log has a line of JSON when Redis goes away and one when it is back, none
// for each event. SIGTERM and SIGINT end the service within 5 seconds. The exit
// code is 1 if that loses events, which only happens without OUTBOX, and 2 if the
// service cannot start, such as with a file that another process has open.
import { runService } from "./webhook_service/process.ts";

await runService({
  env: Deno.env,
  ...(typeof Deno.openKv === "function" && { openKv: Deno.openKv }),
  listen(port, answer) {
    const server = Deno.serve({ port, onListen() {} }, answer);
    return { port: server.addr.port, shutdown: () => server.shutdown() };
  },
  onSignal(name, callback) {
    const once = () => {
      Deno.removeSignalListener(name, once);
      callback();
    };
    Deno.addSignalListener(name, once);
  },
  exit: Deno.exit,
});
