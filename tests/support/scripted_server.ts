// A peer that answers each command by a function: for servers that no real one can be made to be.

import { FakeServer } from "./fake_server.ts";

/** Ends the connection in place of an answer. */
export const CLOSE: unique symbol = Symbol("close");

/** The answer to one command as it goes over the wire, `undefined` for none. */
export type Answer = string | typeof CLOSE | undefined;

/** What a Redis of some version answers to HELLO. */
export const helloOf = (said: Record<string, string>, id = 7): string => {
  const entries = Object.entries(said);
  return `*${2 * entries.length + 2}\r\n$2\r\nid\r\n:${id}\r\n${
    entries.flat().map((text) => `$${text.length}\r\n${text}\r\n`).join("")
  }`;
};

/** A server that understands ASCII commands. */
export class ScriptedServer extends FakeServer {
  /** The commands of each connection, in order. */
  readonly heard: string[][];

  constructor(
    answer: (command: string[], connection: number) => Answer,
  ) {
    const heard: string[][] = [];
    super(async (connection) => {
      const commands: string[] = [];
      const number = heard.push(commands);
      const chunk = new Uint8Array(64 * 1024);
      let text = "";
      while (true) {
        const count = await connection.read(chunk);
        if (count === null) break;
        text += new TextDecoder().decode(chunk.subarray(0, count));
        while (true) {
          const lines = text.split("\r\n");
          const words = Number(lines[0]!.slice(1));
          if (!text.startsWith("*") || lines.length < 2 * words + 2) break;
          const command = lines.slice(1, 2 * words + 1)
            .filter((_, i) => i % 2 === 1);
          text = lines.slice(2 * words + 1).join("\r\n");
          commands.push(command.join(" "));
          const reply = answer(command, number);
          if (reply === CLOSE) return connection.close();
          if (reply !== undefined) {
            await connection.write(new TextEncoder().encode(reply));
          }
        }
      }
      connection.close();
    });
    this.heard = heard;
  }

  get url(): string {
    return `redis://${this.address}`;
  }
}
