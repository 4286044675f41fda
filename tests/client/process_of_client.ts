// A program with a client in a process of its own, which can be stopped for a while.
import { delay } from "@std/async/delay";
import { importFlags } from "../support/imports.ts";

/** Runs `program`, which is given as the body of a module, and does `between` while it is stopped, once it has printed "ready". */
export async function runProcess(
  program: string,
  stop?: { forMs: number; between?: () => void },
): Promise<Record<string, unknown>> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--ext=ts",
      ...importFlags,
      `import { Redis } from "${new URL("../../mod.ts", import.meta.url)}";
       ${program}`,
    ],
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  if (stop !== undefined) {
    while (!text.includes("ready\n")) text += (await lines.read()).value ?? "";
    await delay(200); // it is in its loop now
    Deno.kill(child.pid, "SIGSTOP");
    stop.between?.();
    await delay(stop.forMs);
    Deno.kill(child.pid, "SIGCONT");
  }
  for (let part = await lines.read(); !part.done; part = await lines.read()) {
    text += part.value;
  }
  await child.status;
  return JSON.parse(text.slice(text.indexOf("{")));
}
