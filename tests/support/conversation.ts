// Commands and replies over a bare socket: the protocol, with no pool and no retry around it.

import { CommandBuffer } from "../../resp/command_buffer.ts";
import { ReplyError } from "../../resp/errors.ts";
import { ReplyParser } from "../../resp/parser.ts";
import type { Command, Reply } from "../../resp/types.ts";

/** A socket to a server, on which one asks and waits for the answer. */
export class Conversation implements Disposable {
  readonly #socket: Deno.Conn;
  readonly #parser = new ReplyParser();

  private constructor(socket: Deno.Conn) {
    this.#socket = socket;
  }

  static async open(port: number): Promise<Conversation> {
    return new Conversation(
      await Deno.connect({ hostname: "127.0.0.1", port }),
    );
  }

  /** Sends all commands at once; error replies are values. */
  async askAll(
    commands: readonly Command[],
    { binary = false }: { readonly binary?: boolean } = {},
  ): Promise<Reply[]> {
    const buffer = new CommandBuffer();
    for (const command of commands) buffer.append(command);
    const written = this.#write(buffer.take());
    const replies: Reply[] = [];
    while (replies.length < commands.length) {
      const reply = this.#parser.next(binary);
      if (reply !== undefined) {
        replies.push(reply);
        continue;
      }
      const count = await this.#socket.read(this.#parser.reserve());
      if (count === null) throw new Error("The server closed the connection");
      this.#parser.commit(count);
    }
    await written;
    return replies;
  }

  /** @throws {ReplyError} If the server answers with an error. */
  async ask(...command: Command): Promise<Reply> {
    const [reply] = await this.askAll([command]);
    if (reply instanceof ReplyError) throw reply;
    return reply!;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.#socket.write(bytes.subarray(sent));
    }
  }
}
