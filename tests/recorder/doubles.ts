// Events, and senders that stand in for a client.
import type {
  Command,
  RecordErrorInfo,
  Redis,
  ReplyError,
  Sender,
  SendOptions,
  WebhookEvent,
} from "../../mod.ts";
import type { RedisServer } from "../support/redis_server.ts";

export const EVENT = { mallId: "mall", shopNo: 7, eventType: "orders" };
export const KEY = "webhook_frequency_mall_7_orders";
/** What a sender without a server has. */
export const NOWHERE = {
  origin: { hostname: "nowhere", port: 1, database: 0 },
  isClosed: false,
} as const;
export const ofShop = (shopNo: number): WebhookEvent => ({ ...EVENT, shopNo });
export const keyOfShop = (shopNo: number): string =>
  `webhook_frequency_mall_${shopNo}_orders`;
export const ttl = async (server: RedisServer, key = KEY) =>
  Number(await server.cli("TTL", key));
export const cardinality = async (server: RedisServer, key = KEY) =>
  Number(await server.cli("ZCARD", key));
export const inSeconds = (fromNow: number) =>
  Math.floor(Date.now() / 1000) + fromNow;

/** What may become of an event: its outcome, then each status that onError gets. */
export const OUTCOMES: readonly string[] = [
  "recorded",
  "queued queued",
  "queued queued dropped",
  "dropped dropped",
];

/** What onError was told, one line a call. */
export class Told {
  readonly calls: { error: unknown; info: RecordErrorInfo }[] = [];
  readonly onError = (error: unknown, info: RecordErrorInfo): void =>
    void this.calls.push({ error, info });

  get lines(): string[] {
    return this.calls.map(({ info: { status, context } }) =>
      `${status} ${context.shopNo}`
    );
  }
}

/** A client that counts what is sent, and may answer in the server's place. */
export class Counting implements Sender {
  readonly sent: Command[][] = [];
  readonly #redis: Redis;
  /** What to answer to a command, or `undefined` to ask the server. */
  answer: (command: Command) => ReplyError | undefined = () => undefined;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  get origin() {
    return this.#redis.origin;
  }

  get isClosed() {
    return this.#redis.isClosed;
  }

  async send(command: Command, options?: SendOptions) {
    this.sent.push([command]);
    const answer = this.answer(command);
    if (answer !== undefined) throw answer;
    return await this.#redis.send(command, options);
  }

  async pipeline(commands: readonly Command[], options?: SendOptions) {
    this.sent.push([...commands]);
    const replies = await this.#redis.pipeline(
      commands.map((command) =>
        this.answer(command) === undefined ? command : ["PING"] as Command
      ),
      options,
    );
    return replies.map((reply, i) => this.answer(commands[i]!) ?? reply);
  }

  /** How often a command was sent. */
  countOf(name: string): number {
    return this.sent.flat().filter(([command]) => command === name).length;
  }
}

/** A sender whose server is gone, which counts the attempts. */
export class Gone implements Sender {
  readonly origin = NOWHERE.origin;
  readonly isClosed = false;
  attempts = 0;

  send(): Promise<never> {
    this.attempts++;
    return Promise.reject(new Error("gone"));
  }

  pipeline(): Promise<never> {
    return this.send();
  }
}
