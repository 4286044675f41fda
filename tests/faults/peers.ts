// Peers that are not Redis: they accept connections and go no further.
import { delay } from "@std/async/delay";

/** A listener on a port of its own. */
export interface Peer extends AsyncDisposable {
  readonly port: number;
}

/** Passes what clients send on to a TLS server, and only half of its first answer back. */
export function halfTlsPeer(target: Deno.ConnectOptions): Peer {
  return listen(async (client, hold) => {
    const server = hold(await Deno.connect(target));
    server.setNoDelay(true);
    const hello = await readSome(client);
    if (hello.length === 0) return;
    await server.write(hello);
    const answer = await readSome(server);
    await client.write(answer.subarray(0, answer.length >> 1));
    await readSome(client); // until the client gives up
  });
}

type Hold = <T extends Deno.Conn>(conn: T) => T;

function listen(
  serve: (client: Deno.Conn, hold: Hold) => Promise<void>,
): Peer {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  const served = new Set<Promise<void>>();
  const close = (conn: Deno.Conn) => {
    if (open.delete(conn)) conn.close();
  };

  async function welcome(client: Deno.Conn): Promise<void> {
    const held = [client];
    open.add(client);
    const hold: Hold = (conn) => {
      held.push(conn);
      open.add(conn);
      return conn;
    };
    await serve(client, hold).catch(() => {});
    held.forEach(close);
  }

  async function accept(): Promise<void> {
    for await (const client of listener) {
      const serving: Promise<void> = welcome(client).finally(() =>
        served.delete(serving)
      );
      served.add(serving);
    }
  }
  const accepting = accept();

  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      while (served.size > 0) {
        [...open].forEach(close);
        await Promise.race([...served, delay(10)]);
      }
    },
  };
}

async function readSome(conn: Deno.Conn): Promise<Uint8Array<ArrayBuffer>> {
  const buffer = new Uint8Array(16_384);
  const count = await conn.read(buffer);
  return buffer.subarray(0, count ?? 0);
}
