// Process: runs one contestant to its end, and leaves none behind.

const running = new Set<Deno.ChildProcess>();
let stopped = false;

/** What a process printed and how long it lived. */
export interface Finished {
  stdout: string;
  /** From before the spawn until its exit, in milliseconds. */
  wallMs: number;
}

/**
 * Runs a program and waits for it.
 *
 * @throws {Error} If it fails, cannot be started or outlives `timeoutMs`.
 */
export async function run(
  argv: string[],
  options: { timeoutMs?: number; cwd?: string } = {},
): Promise<Finished> {
  // The rounds go on while the bench is being stopped: nothing may start.
  if (stopped) await new Promise(() => {});
  const [program, ...args] = argv;
  const start = performance.now();
  const child = new Deno.Command(program!, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  }).spawn();
  running.add(child);
  const timeoutMs = options.timeoutMs ?? 30_000;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    kill(child);
  }, timeoutMs);
  try {
    const output = child.output();
    await child.status;
    const wallMs = performance.now() - start;
    const { success, stdout, stderr } = await output;
    const decoder = new TextDecoder();
    if (late) throw new Error(`no end after ${timeoutMs} ms`);
    if (!success) throw new Error(lastWords(decoder.decode(stderr)));
    return { stdout: decoder.decode(stdout), wallMs };
  } finally {
    clearTimeout(timer);
    running.delete(child);
  }
}

/** Kills whatever is still running, and lets nothing start after it. */
export function killAll(): void {
  stopped = true;
  for (const child of running) kill(child);
}

/**
 * Lets Ctrl-C and SIGTERM end the bench: whatever runs is killed, then the server stops.
 *
 * @param server The server of the bench.
 * @returns Disposing of it leaves the signals to the system again.
 */
export function endOnSignal(server: AsyncDisposable): Disposable {
  let isEnding = false;
  const end = async () => {
    if (isEnding) return;
    isEnding = true;
    killAll();
    await server[Symbol.asyncDispose]();
    Deno.exit(130);
  };
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, end);
  return {
    [Symbol.dispose]: () => {
      for (const signal of signals) Deno.removeSignalListener(signal, end);
    },
  };
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

function lastWords(stderr: string): string {
  const lines = stderr.split("\n").map((line) => line.trim()).filter(Boolean);
  const error = lines.find((line) => /error/i.test(line));
  // deno-lint-ignore no-control-regex -- Deno colours its errors.
  const plain = (line: string) => line.replace(/\x1b\[\d*m/g, "");
  return plain(error ?? lines.at(-1) ?? "it failed and said nothing").slice(
    0,
    300,
  );
}
