// A queue for a test: delivers each message until it is acknowledged. It runs in workerd, in place of Cloudflare's.

interface Message {
  readonly id: string;
  readonly timestamp: Date;
  readonly body: unknown;
  attempts: number;
}

/** What a consumer has said of a batch. */
interface Result {
  readonly outcome: string;
  readonly explicitAcks: readonly string[];
}

interface Env {
  readonly BROKER: {
    idFromName(name: string): unknown;
    get(id: unknown): { fetch(request: Request): Promise<Response> };
  };
  readonly CONSUMER: {
    queue(name: string, messages: readonly Message[]): Promise<Result>;
  };
}

const MOST_MESSAGES = 100;
/** Between two batches, in milliseconds: retries of ten seconds are waited for as short. */
const PAUSE_MS = 50;

/** The one object that has the messages. */
export class Broker {
  readonly #env: Env;
  readonly #messages = new Map<string, Message>();
  #delivering: Promise<void> | undefined;

  constructor(_context: unknown, env: Env) {
    this.#env = env;
  }

  async fetch(request: Request): Promise<Response> {
    if (new URL(request.url).pathname === "/waiting") {
      return Response.json(this.#messages.size);
    }
    const id = crypto.randomUUID();
    const message: Message = {
      id,
      timestamp: new Date(),
      body: await request.json(),
      attempts: 1,
    };
    this.#messages.set(id, message);
    this.#delivering ??= this.#deliver();
    const metrics = { backlogCount: 0, backlogBytes: 0 };
    return Response.json({ metadata: { metrics } });
  }

  async #deliver(): Promise<void> {
    while (this.#messages.size > 0) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      const batch = [...this.#messages.values()].slice(0, MOST_MESSAGES);
      try {
        const result = await this.#env.CONSUMER.queue("webhooks", batch);
        for (const id of result.explicitAcks) this.#messages.delete(id);
      } catch {
        // The whole batch is delivered again.
      }
      for (const message of batch) message.attempts++;
    }
    this.#delivering = undefined;
  }
}

export default {
  fetch(request: Request, { BROKER }: Env): Promise<Response> {
    return BROKER.get(BROKER.idFromName("only")).fetch(request);
  },
};
