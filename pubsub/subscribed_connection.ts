// A subscribed connection: what may be sent on it, and what comes unasked.
import { ProtocolError, ReplyError } from "../resp/errors.ts";
import { decodeText } from "../resp/receive_buffer.ts";
import type { Command, Reply } from "../resp/types.ts";
import type { Connection, Receiver } from "../pool/connection/connection.ts";
import type { Slot } from "../pool/connection/in_flight.ts";
import { type Channel, type ChannelKind, COMMANDS } from "./channel.ts";
import { Heads } from "./heads.ts";

/** What a subscribed connection calls. */
export interface PushEvents {
  /** A message has come. */
  onMessage(
    channel: Channel,
    name: string,
    pattern: string | undefined,
    payload: string | Uint8Array,
  ): void;
  /** The server sends the messages of these from now on. */
  onActive(channels: readonly Channel[], sentAt: number): void;
  /** The server refuses to subscribe this one. */
  onRefused(channel: Channel, error: ReplyError): void;
  /** The server has ended a subscription by itself: its hash slot has moved. */
  onRevoked(channel: Channel): void;
  /** The server has answered a PING that was sent at `sentAt`, Unix time in milliseconds. */
  onPong(sentAt: number): void;
  /** All that has come was taken. */
  onTaken(): void;
}

/** A command of a subscribed connection, which may have one answer for each of its channels. */
class Request implements Slot {
  readonly command: Command;
  readonly binary = false;
  readonly extraReplyTimeoutMs = 0;
  /** Takes one answer. Returns whether it was the last. */
  readonly answer: (reply: Reply) => boolean;
  /** How many of its names were answered. */
  answered = 0;

  constructor(command: Command, answer: (reply: Reply) => boolean) {
    this.command = command;
    this.answer = answer;
  }

  /** Whether the next answer is about a name. */
  awaits(word: string, name: string): boolean {
    return this.command[0] === word &&
      this.command[this.answered + 1] === name;
  }

  /** Takes the answer about the next name. Returns whether it was the last. */
  take(reply: Reply): boolean {
    const [word, ...names] = this.command;
    expectAnswer(reply, word, names[this.answered] as string);
    return ++this.answered === names.length;
  }

  /** Not called: its connection has a receiver. */
  resolve(): void {}

  /** The end of the connection says it all. */
  lose(): void {}
}

/**
 * A connection on which channels are subscribed.
 *
 * - It takes SUBSCRIBE, UNSUBSCRIBE, their like, and PING. In RESP2 the server
 *   allows nothing else: https://redis.io/docs/latest/develop/pubsub/
 * - The answers come in the order of the commands, one for each channel, with
 *   messages in between. Whatever is neither ends the connection.
 * - Messages of a channel are handed on from its acknowledgement until it is
 *   dropped; what the server had sent by then is passed over.
 */
export class SubscribedConnection implements Receiver {
  /** Whether payloads are received as bytes. Names are text in any case. */
  binary = false;
  readonly head: Heads = new Heads();
  readonly #connection: Connection;
  readonly #events: PushEvents;
  readonly #active: Readonly<Record<ChannelKind, Map<string, Channel>>> = {
    channel: new Map(),
    pattern: new Map(),
    shard: new Map(),
  };
  /** The last command of each channel that subscribes it, while it has no answer and the channel is not dropped. */
  readonly #awaited = new Map<Channel, Request>();

  /**
   * @param connection An open connection, with nothing in flight.
   * @param events See {@linkcode PushEvents}.
   */
  constructor(connection: Connection, events: PushEvents) {
    this.#connection = connection;
    this.#events = events;
    connection.receiveBy(this);
  }

  /**
   * Subscribes channels of one kind by one command. The server takes all or none: if it
   * refuses several, each is sent again by itself.
   *
   * @param kind The kind of all of them.
   * @param channels The channels; at least one.
   */
  subscribe(kind: ChannelKind, channels: readonly Channel[]): void {
    const sentAt = Date.now();
    const request = this.#send(COMMANDS[kind].add, channels, (reply) => {
      const isRefused = reply instanceof ReplyError;
      if (!isRefused && !request.take(reply)) return false;
      const left = this.#answered(channels, request);
      if (left.length === 0) return true;
      if (isRefused) {
        for (const channel of left) {
          if (channels.length === 1) this.#events.onRefused(channel, reply);
          else this.subscribe(kind, [channel]);
        }
        return true;
      }
      for (const channel of left) {
        this.#active[kind].set(channel.name, channel);
        this.head.add(channel);
      }
      this.#events.onActive(left, sentAt);
      return true;
    });
    for (const channel of channels) this.#awaited.set(channel, request);
  }

  /**
   * The channels that a command was sent for last. One that was dropped meanwhile may
   * be subscribed elsewhere by now, or be on its way again behind this command.
   */
  #answered(channels: readonly Channel[], request: Request): Channel[] {
    const left = channels.filter((channel) =>
      this.#awaited.get(channel) === request
    );
    for (const channel of left) this.#awaited.delete(channel);
    return left;
  }

  /** Drops channels of one kind: their messages are passed over at once. */
  unsubscribe(kind: ChannelKind, channels: readonly Channel[]): void {
    for (const channel of channels) this.#forget(channel);
    const request = this.#send(COMMANDS[kind].remove, channels, (reply) => {
      if (reply instanceof ReplyError) throw unasked(reply);
      return request.take(reply);
    });
  }

  /** Asks for a sign of life. */
  ping(): void {
    const sentAt = Date.now();
    this.#connection.push(
      new Request(["PING"], (reply) => {
        if (!isPong(reply)) throw unasked(reply);
        this.#events.onPong(sentAt);
        return true;
      }),
    );
  }

  receive(reply: Reply, first: Slot | undefined): boolean {
    if (Array.isArray(reply) && this.#takePush(reply, first)) return false;
    if (first instanceof Request) return first.answer(reply);
    if (first === undefined) throw unasked(reply);
    first.resolve(reply); // of the introduction
    return true;
  }

  receiveBehind(payload: string | Uint8Array): void {
    const { recognised } = this.head;
    this.#events.onMessage(recognised, recognised.name, undefined, payload);
  }

  onTaken(): void {
    this.#events.onTaken();
  }

  /** Takes a message, or the end of a subscription that was not asked for. */
  #takePush(push: Reply[], first: Slot | undefined): boolean {
    const [head, name, second] = push;
    const kind = textOf(head);
    if (push.length === 3) {
      switch (kind) {
        case "message":
          return this.#take(this.#active.channel, name, second);
        case "smessage":
          return this.#take(this.#active.shard, name, second);
        case "sunsubscribe":
          return this.#takeRevocation(nameIn(name), first);
      }
    } else if (push.length === 4 && kind === "pmessage") {
      const payload = push[3];
      if (!isBulk(payload)) throw unasked(push);
      const pattern = nameIn(name);
      const channel = this.#active.pattern.get(pattern);
      if (channel !== undefined) {
        this.#events.onMessage(channel, nameIn(second), pattern, payload);
      }
      return true;
    }
    return false;
  }

  #take(
    active: Map<string, Channel>,
    name: Reply | undefined,
    payload: Reply | undefined,
  ): true {
    if (!isBulk(payload)) throw unasked([name ?? null, payload ?? null]);
    const text = nameIn(name);
    const channel = active.get(text);
    if (channel !== undefined) {
      this.#events.onMessage(channel, text, undefined, payload);
    }
    return true;
  }

  /**
   * The end of a shard channel, which the server sends by itself when its hash slot
   * has moved. Where this client drops the channel at that moment there are two.
   */
  #takeRevocation(name: string, first: Slot | undefined): boolean {
    const channel = this.#active.shard.get(name);
    if (channel !== undefined) {
      this.#forget(channel);
      this.#events.onRevoked(channel);
      return true;
    }
    return !(first instanceof Request &&
      first.awaits(COMMANDS.shard.remove, name));
  }

  #forget(channel: Channel): void {
    this.#awaited.delete(channel);
    const active = this.#active[channel.kind];
    if (active.get(channel.name) !== channel) return;
    active.delete(channel.name);
    this.head.remove(channel);
  }

  #send(
    word: string,
    channels: readonly Channel[],
    answer: (reply: Reply) => boolean,
  ): Request {
    const names = channels.map(({ name }) => name);
    const request = new Request([word, ...names], answer);
    this.#connection.push(request);
    return request;
  }
}

const isBulk = (reply: Reply | undefined): reply is string | Uint8Array =>
  typeof reply === "string" || reply instanceof Uint8Array;

/** Text up to this many bytes is made of its codes if it is ASCII: the decoder takes up to ten times as long. */
const SHORT_TEXT = 100;

function textOf(reply: Reply | undefined): Reply | undefined {
  if (!(reply instanceof Uint8Array)) return reply;
  if (reply.length > SHORT_TEXT || reply.some((byte) => byte > 0x7f)) {
    return decodeText(reply);
  }
  return String.fromCharCode(...reply);
}

function nameIn(reply: Reply | undefined): string {
  const text = textOf(reply);
  if (typeof text === "string") return text;
  throw unasked([reply ?? null]);
}

/** Of a subscribed RESP2 connection `["pong", ""]`; of one that has no subscription any more `PONG`. */
const isPong = (reply: Reply): boolean =>
  reply === "PONG" ||
  (Array.isArray(reply) && reply.length === 2 && textOf(reply[0]) === "pong");

function expectAnswer(reply: Reply, word: string, name: string): void {
  if (
    Array.isArray(reply) && reply.length === 3 &&
    textOf(reply[0]) === word.toLowerCase() &&
    textOf(reply[1]) === name
  ) return;
  throw unasked(reply);
}

/** What has come is neither a message nor the answer that is due. Its content is not repeated: it may be private. */
function unasked(reply: Reply): ProtocolError {
  if (reply instanceof ReplyError) {
    return new ProtocolError(`Unasked error reply: ${reply.message}`);
  }
  return new ProtocolError(
    `Unasked ${
      Array.isArray(reply) ? `array of ${reply.length}` : `${typeof reply}`
    }: neither a message nor an answer that is due`,
  );
}
