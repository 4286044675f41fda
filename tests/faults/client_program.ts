// The program of a process of Node or Bun that has clients: it is called by lines of JSON, and answers so.
import process from "node:process";
import { createInterface } from "node:readline";
import { fateOf } from "../../mod.ts";
import type { Answer, Call } from "./client_host.ts";
import { LoadClient } from "./client.ts";

let client: LoadClient | undefined;

const say = (answer: Answer) =>
  process.stdout.write(`${JSON.stringify(answer)}\n`);

async function answer(call: Call): Promise<void> {
  const { id } = call;
  if (call.method === "make") {
    client = new LoadClient(
      call.options,
      (event) => say({ client: id, event }),
    );
    return;
  }
  try {
    const method = client![call.method] as (
      ...args: unknown[]
    ) => Promise<unknown>;
    say({ id, result: await method.apply(client, [...call.args]) });
  } catch (error) {
    say({ id, error: { message: `${error}`, fate: fateOf(error) } });
  }
}

// Ends with the input: nothing else keeps the process alive then.
createInterface({ input: process.stdin }).on(
  "line",
  (line) => answer(JSON.parse(line)),
);
