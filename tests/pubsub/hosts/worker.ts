// A Worker whose Durable Object subscribes in one request, and shows in others what has come.
import {
  type Item,
  Subscriber,
  type Subscription,
} from "../../../pubsub/mod.ts";

/** What is bound to the Worker. */
interface Env {
  readonly OBJECTS: {
    idFromName(name: string): unknown;
    get(id: unknown): { fetch(request: Request): Promise<Response> };
  };
}

/** Holds a subscription. */
export class Listener {
  readonly #items: Item[] = [];
  #subscriber: Subscriber | undefined;

  async fetch(request: Request): Promise<Response> {
    const add = (item: Item) => void this.#items.push(item);
    switch (new URL(request.url).pathname) {
      case "/start": {
        this.#subscriber = new Subscriber(await request.json() as string);
        await this.#subscriber.subscribe("a", {
          onMessage: add,
          onGap: add,
          onAway: add,
        });
        break;
      }
      case "/end":
        await this.#subscriber!.close();
    }
    return Response.json(this.#items);
  }
}

/** The subscriber of all requests, which it must not be, and its first subscription. */
let shared: Subscriber | undefined;
let subscription: Subscription | undefined;

async function subscribeBeyondRequests(url: string): Promise<string[]> {
  shared ??= new Subscriber(url);
  const subscribed = await shared.subscribe("a").then(
    (made) => {
      subscription ??= made;
      return "subscribed";
    },
    textOf,
  );
  const read = await Promise.race([
    subscription!.next().then(() => "read", textOf),
    new Promise<string>((resolve) => setTimeout(() => resolve("nothing"), 200)),
  ]);
  return [subscribed, read];
}

const textOf = (error: Error & { fate?: string }): string =>
  `${error} ${error.fate}`;

export default {
  async fetch(request: Request, { OBJECTS }: Env): Promise<Response> {
    if (new URL(request.url).pathname === "/shared") {
      const url = await request.json() as string;
      return Response.json(await subscribeBeyondRequests(url));
    }
    return await OBJECTS.get(OBJECTS.idFromName("listener")).fetch(request);
  },
};
