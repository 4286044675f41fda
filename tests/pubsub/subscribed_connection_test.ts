// That the answers on a subscribed connection go to the channels that they are for.

import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { open } from "../../pool/connection/open.ts";
import { dial } from "../../pool/socket/dial.ts";
import { Endpoint } from "../../pool/socket/endpoint.ts";
import {
  Channel,
  type ChannelKind,
  type Listener,
} from "../../pubsub/channel.ts";
import { SubscribedConnection } from "../../pubsub/subscribed_connection.ts";
import { startRedis } from "../support/redis_server.ts";

const LISTENER: Listener = {
  binary: false,
  deliver: () => false,
  back() {},
  settle() {},
  lost() {},
  refused() {},
};

/** A channel that is wanted. */
function channelOf(kind: ChannelKind, name: string): Channel {
  const channel = new Channel(kind, name);
  channel.add(LISTENER);
  return channel;
}

/** What becomes of channels on a connection of its own, up to the answers to what the first answers led to. */
async function eventsOf(
  url: string,
  act: (subscribed: SubscribedConnection) => void,
): Promise<string[]> {
  const events: string[] = [];
  const over = Promise.withResolvers<void>();
  const connection = await open(new Endpoint(url), {
    dial,
    connectTimeoutMs: 5000,
    replyTimeoutMs: 5000,
    number: 1,
    signal: new AbortController().signal,
    observer: {
      onClose(_, { how }) {
        events.push(how);
        over.resolve();
      },
    },
  });
  const subscribed = new SubscribedConnection(connection, {
    onMessage: ({ name }) => events.push(`message of ${name}`),
    onActive: (channels) =>
      events.push(`active ${channels.map(({ name }) => name)}`),
    onRefused: ({ name }) => events.push(`refused ${name}`),
    onRevoked: ({ name }) => events.push(`revoked ${name}`),
    onPong: () => isSecond ? over.resolve() : pingAgain(),
    onTaken() {},
  });
  let isSecond = false;
  const pingAgain = () => {
    isSecond = true;
    subscribed.ping();
  };
  act(subscribed);
  subscribed.ping();
  await over.promise;
  connection.close("the test is over");
  return events;
}

for (const kind of ["channel", "pattern", "shard"] as const) {
  Deno.test(`A dropped ${kind} is not active when the answer to its subscription comes, though it is wanted elsewhere`, async () => {
    await using server = await startRedis();
    const moved = channelOf(kind, "moved");
    const back = channelOf(kind, "back");
    const events = await eventsOf(server.url, (subscribed) => {
      for (const channel of [moved, back]) {
        subscribed.subscribe(kind, [channel]);
        subscribed.unsubscribe(kind, [channel]);
      }
      subscribed.subscribe(kind, [back]);
    });
    assertEquals(events, ["active back", "requested"]);
  });
}

Deno.test("A channel that is refused together with a dropped one is tried by itself", async () => {
  await using server = await startRedis();
  const rules = ["on", ">sesame", "+@all", "&open"];
  await server.cli("ACL", "SETUSER", "app", ...rules);
  const url = server.url.replace("//", "//app:sesame@");
  const open = channelOf("channel", "open");
  const closed = channelOf("channel", "closed");
  for (const isDropped of [true, false]) {
    const events = await eventsOf(url, (subscribed) => {
      subscribed.subscribe("channel", [open, closed]);
      if (isDropped) subscribed.unsubscribe("channel", [closed]);
    });
    assertEquals(events, [
      "active open",
      ...isDropped ? [] : ["refused closed"],
      "requested",
    ]);
  }
});
