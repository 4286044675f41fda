// The webhook service on Node 22.18 or later.
//
//   npm pkg set type=module && npx jsr add @unzombie/redis
//   OUTBOX=/var/lib/webhooks/queued REDIS_URL=rediss://… node webhook_service/hosts/node.ts
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { pipeline } from "node:stream/promises";
import { type Host, runService } from "../process.ts";

type Answer = Parameters<Host["listen"]>[1];

await runService({
  env: { get: (name) => process.env[name] },
  async listen(port, answer) {
    const server = createServer((message, response) => {
      // A sender that does not wait for its answer is no error.
      respond(server, message, response, answer).catch(() =>
        response.destroy()
      );
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject).listen(port, resolve);
    });
    return {
      port: (server.address() as AddressInfo).port,
      shutdown: () => new Promise((resolve) => server.close(() => resolve())),
    };
  },
  onSignal: (name, callback) => process.once(name, callback),
  exit: (code) => process.exit(code),
});

async function respond(
  server: Server,
  message: IncomingMessage,
  target: ServerResponse,
  answer: Answer,
): Promise<void> {
  const request = requestOf(message);
  const { status, headers, body } = request === undefined
    ? Response.json({ error: "no such request" }, { status: 400 })
    : await answer(request);
  // A connection that has a request under way when the server is closed would stay open for more.
  if (!server.listening) target.setHeader("connection", "close");
  target.writeHead(status, Object.fromEntries(headers));
  if (body === null) target.end();
  else await pipeline(body, target);
}

/** The request, without its body: the service does not read it. `undefined` if it is none. */
function requestOf(
  { method, url = "/", headers }: IncomingMessage,
): Request | undefined {
  const isWhole = /^https?:/i.test(url); // as it is sent to a proxy
  const host = headers.host ?? "localhost";
  try {
    return new Request(isWhole ? url : `http://${host}${url}`, {
      method: method!,
      headers: headers as Record<string, string>,
    });
  } catch {
    return undefined;
  }
}
