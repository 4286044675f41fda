// The service as a process: it starts as its environment says, and ends in good order by a signal.
import type { RecorderStats, WebhookRecorder } from "@unzombie/redis";
import { log, textOf } from "./log.ts";
import { openService, type Service } from "./service.ts";
import { type Env, settingsOf, withoutEffectIn } from "./settings.ts";
import { type OpenKv, openStore } from "./store.ts";

/** How long the requests under way may take in the end, in milliseconds. Deno Deploy kills after 5 seconds. */
const REQUESTS_MS = 1000;
/** After this time a line says what an earlier process has left and is not sent yet, in milliseconds. */
const SOON_MS = 1000;

/** What a runtime gives to a process. */
export interface Host {
  readonly env: Env;
  /** Opens Deno KV, where there is one. */
  readonly openKv?: OpenKv;
  /**
   * Listens on a port, 0 for a free one.
   *
   * @throws If the port is taken, or must not be listened on.
   */
  listen(
    port: number,
    answer: (request: Request) => Promise<Response>,
  ): Listener | Promise<Listener>;
  /** Calls back at the first signal of a kind. The second one ends the process at once. */
  onSignal(name: "SIGINT" | "SIGTERM", callback: () => void): void;
  exit(code: number): never;
}

/** A server that listens. */
export interface Listener {
  readonly port: number;
  /** Takes no more requests, and resolves once those under way are answered. */
  shutdown(): Promise<void>;
}

/** Runs the service until a signal comes. Ends the process if it cannot start. */
export async function runService(host: Host): Promise<void> {
  try {
    const settings = settingsOf(host.env);
    const store = await openStore(settings.outbox, host.openKv);
    const service = openService(settings, store);
    const listener = await listen(host, settings.port, service);
    // Before it says that it listens: from then on it may be ended.
    for (const name of ["SIGINT", "SIGTERM"] as const) {
      host.onSignal(name, () => end(host, service, listener));
    }
    log(
      "info",
      `Listening on port ${listener.port}, queued events are in ${store.place}`,
    );
    if (store.outbox !== undefined) logRestored(service.recorder);
    logWithoutEffect(host.env);
  } catch (error) {
    log("error", `Cannot start: ${textOf(error)}`);
    host.exit(2);
  }
}

async function listen(
  host: Host,
  port: number,
  service: Service,
): Promise<Listener> {
  try {
    return await host.listen(port, service.fetch);
  } catch (error) {
    await service.close();
    throw new Error(`Cannot listen on PORT ${port}: ${textOf(error)}`, {
      cause: error,
    });
  }
}

function logWithoutEffect(env: Env): void {
  const names = withoutEffectIn(env);
  if (names.length === 0) return;
  const have = names.length === 1 ? "has" : "have";
  log(
    "info",
    `No shop is blocked without LIMIT: ${names.join(", ")} ${have} no effect`,
  );
}

/** Logs that what earlier processes have left is sent, once it is, and before if it takes long. */
async function logRestored(recorder: WebhookRecorder): Promise<void> {
  const sent = recorder.flush();
  await within(SOON_MS, sent);
  logUnsent(recorder.stats());
  await sent;
  const { restored, left } = recorder.stats();
  if (restored === 0 || left > 0) return;
  log("info", "What an earlier process has left is sent", { restored });
}

function logUnsent({ restored, pending, reason }: RecorderStats): void {
  if (restored === 0 || pending === 0) return;
  const what = "What an earlier process has left is being sent";
  const more = { restored, pending };
  if (reason === undefined) log("info", what, more);
  else log("error", `${what}: ${reason}`, more);
}

/** Ends the service and the process. */
async function end(
  host: Host,
  service: Service,
  listener: Listener,
): Promise<never> {
  // A request whose body never ends must not hold up the end.
  await within(REQUESTS_MS, listener.shutdown());
  const { lost, left } = await service.close();
  const events = (n: number) => n === 1 ? "1 event is" : `${n} events are`;
  if (left > 0) {
    log("info", `Stopped: ${events(left)} left in OUTBOX`, { left });
  }
  if (lost > 0) log("error", `Stopped: ${events(lost)} lost`, { lost });
  host.exit(lost > 0 ? 1 : 0);
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}
