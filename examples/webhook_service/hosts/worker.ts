// The webhook service on Cloudflare Workers: each mall has a Durable Object, which is a service of its own.
//
//   npx jsr add @unzombie/redis && npm install --save-dev wrangler
//   npx wrangler deploy -c webhook_service/hosts/wrangler.jsonc
//   npx wrangler secret put REDIS_URL -c webhook_service/hosts/wrangler.jsonc
//
// LIMIT and the variables beside it are texts or secrets of the Worker, PORT and
// OUTBOX mean nothing. What is queued is in the storage of the object, which sends
// it when Redis is back: by itself while it lives, woken by its alarm after that.
// The counts of /status?mall=mymall and /healthz?mall=mymall are those of one mall.
import {
  DurableObjectOutbox,
  type DurableObjectStorageLike,
} from "@unzombie/redis/outbox/durable-object";
import { openService, type Service } from "../service.ts";
import { settingsOf } from "../settings.ts";

/** The part of Cloudflare's types that is needed. `npx wrangler types` writes all of them. */
interface Context {
  readonly storage: DurableObjectStorageLike & {
    getAlarm(): Promise<number | null>;
    setAlarm(at: number): Promise<void>;
  };
}

interface Env {
  readonly WEBHOOKS: {
    idFromName(name: string): unknown;
    get(id: unknown): { fetch(request: Request): Promise<Response> };
  };
  readonly [variable: string]: unknown;
}

/** When the alarm looks after what is queued, in milliseconds. */
const ALARM_MS = 5000;
/** An open connection keeps the object in memory, which is billed. */
const CONNECTIONS = { maxConnections: 4, idleTimeoutMs: 10_000 };

export class WebhookService {
  readonly #storage: Context["storage"];
  readonly #service: Service;

  constructor({ storage }: Context, env: Env) {
    this.#storage = storage;
    const variables = {
      get: (name: string) => name in env ? `${env[name]}` : undefined,
    };
    this.#service = openService(settingsOf(variables), {
      outbox: new DurableObjectOutbox(storage),
      place: "the storage of the object",
      close() {},
    }, CONNECTIONS);
  }

  async fetch(request: Request): Promise<Response> {
    const response = await this.#service.fetch(request);
    if (this.#service.recorder.pending > 0) await this.#wakeLater();
    return response;
  }

  async alarm(): Promise<void> {
    try {
      const signal = AbortSignal.timeout(ALARM_MS);
      await this.#service.recorder.flush({ signal });
    } catch { // the time is up, and Redis still away
      await this.#wakeLater();
    }
  }

  /** Once, not again with each event: the alarm would never be due. */
  async #wakeLater(): Promise<void> {
    if (await this.#storage.getAlarm() !== null) return;
    await this.#storage.setAlarm(Date.now() + ALARM_MS);
  }
}

/** The mall of a request. All that is without one goes to the same object, `_`, which is no mall. */
const MALL =
  /^\/(?:webhooks|frequency|blocked)\/([A-Za-z0-9.-]{1,64})\/|^\/(?:status|healthz)\?mall=([A-Za-z0-9.-]{1,64})$/;

export default {
  fetch(request: Request, { WEBHOOKS }: Env): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const [, ofEvents, ofState] = MALL.exec(pathname + search) ?? [];
    const name = ofEvents ?? ofState ?? "_";
    return WEBHOOKS.get(WEBHOOKS.idFromName(name)).fetch(request);
  },
};
