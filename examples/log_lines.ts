// Logs what Redis clients do, as JSON lines on stdout, for a service without a collector.
//
//   deno run --allow-net --allow-env=REDIS_URL examples/log_lines.ts [--commands]
//
// REDIS_URL says where Redis is. For a service of your own, copy all but `main`
// and call `logLines` once. With `--commands` each command is a line too.
import { subscribe } from "node:diagnostics_channel";
import { fateOf, Redis, ReplyError, WebhookRecorder } from "@unzombie/redis";
import "@unzombie/redis/diagnostics"; // an import of types alone loads nothing
import type {
  CommandTrace,
  Message,
  TelemetryEvents,
} from "@unzombie/redis/diagnostics";

const CHANNELS: readonly (keyof TelemetryEvents)[] = [
  "connection:open",
  "connection:fail",
  "connection:evict",
  "connection:close",
  "checkout:wait",
  "retry",
  "replay",
  "cluster:redirect",
  "cluster:topology",
  "sentinel:primary",
  "outbox",
];

/** Logs what all clients do from now on. */
export function logLines(options: { commands?: boolean } = {}): void {
  for (const name of CHANNELS) {
    subscribe(`@unzombie/redis:${name}`, (message) => {
      const { attributes, ...what } = message as Message;
      const pool = attributes["db.client.connection.pool.name"];
      log(name, { pool, ...what });
    });
  }
  if (!options.commands) return;
  const startedAt = new WeakMap<CommandTrace, number>();
  const commands = "tracing:@unzombie/redis:command";
  subscribe(`${commands}:start`, (message) => {
    startedAt.set(message as CommandTrace, performance.now());
  });
  subscribe(`${commands}:asyncEnd`, (message) => {
    const call = message as CommandTrace;
    const since = startedAt.get(call);
    if (since === undefined) return; // sent before this function was called
    const durationMs = performance.now() - since;
    const name = call.attributes["db.operation.name"];
    log("command", { name, durationMs, error: call.error });
  });
}

function log(channel: string, what: object): void {
  const line = { time: new Date().toISOString(), channel, ...what };
  console.log(JSON.stringify(line, (_key, value) => {
    if (!(value instanceof Error)) return value;
    // A server that does not know a command repeats its arguments.
    const message = value instanceof ReplyError
      ? value.message.split(", with args")[0]
      : value.message;
    return { name: value.name, message, fate: fateOf(value) };
  }));
}

async function main(): Promise<void> {
  logLines({ commands: Deno.args.includes("--commands") });
  await using redis = new Redis(Deno.env.get("REDIS_URL"));
  await using recorder = new WebhookRecorder(redis, { retentionSeconds: 60 });
  const event = { mallId: "mymall", shopNo: 1, eventType: "orders-create" };
  await recorder.record(event);

  await using lease = await redis.lease();
  const id = await lease.send(["CLIENT", "ID"]);
  await lease.send(["CLIENT", "KILL", "ID", id, "SKIPME", "no"]);
  await lease.send(["PING"]).catch(() => {}); // it is in the log
  await recorder.record(event); // on another connection
}

if (import.meta.main) await main();
