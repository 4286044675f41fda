// What every test is held to: a time limit of its own, and no leaks.
//
// A test file imports this module; `./dev test` preloads it for the examples in
// the documentation. `Deno.test` is replaced by a function that completes the
// definition of a test. A test sets a limit of its own by `timeout`:
//
//     Deno.test("a slow one", { timeout: 120_000 }, async () => { ... });

declare global {
  namespace Deno {
    interface TestDefinition {
      /**
       * The time limit in milliseconds. Deno itself has it since 2.9.
       *
       * @default {60_000}
       */
      timeout?: number;
    }
  }
}

/** The time limit of a test that sets none, in milliseconds. */
export const TIME_LIMIT_MS = 60_000;

/** How much later Deno 2.9 steps in by itself: only it can end a loop that never yields. */
const GRACE_MS = 5_000;

/** Before 2.7 node:net, of which the fault proxy is made, leaks sockets by itself. */
export const CHECKS_RESOURCES = !/^2\.[56]\./.test(Deno.version.deno);

type TestFunction = Deno.TestDefinition["fn"];
type Register = (...args: unknown[]) => void;

// A test may put its own timers in the place of these.
const { setTimeout, clearTimeout } = globalThis;

const deno = Deno.test;
const strict = (register: unknown): Register => (...args) =>
  (register as Register)(completed(args));

Object.assign(Deno, {
  test: Object.assign(strict(deno), deno, {
    only: strict(deno.only),
    ignore: strict(deno.ignore),
  }),
});

/** The arguments of any form of `Deno.test` as one definition. */
function completed(args: readonly unknown[]): Deno.TestDefinition {
  const given: Partial<Deno.TestDefinition> = {};
  for (const arg of args) {
    if (typeof arg === "string") given.name = arg;
    else if (typeof arg === "function") given.fn = arg as TestFunction;
    else Object.assign(given, arg);
  }
  const { fn = () => {}, name = fn.name, timeout = TIME_LIMIT_MS } = given;
  return {
    sanitizeOps: true,
    sanitizeResources: CHECKS_RESOURCES,
    ...given,
    name,
    fn: (context) => within(timeout, name, async () => await fn(context)),
    timeout: timeout + GRACE_MS,
  };
}

async function within(
  limitMs: number,
  name: string,
  run: () => Promise<void>,
): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`"${name}" did not end within ${limitMs} ms`)),
    limitMs,
  );
  try {
    await Promise.race([run(), late]);
  } finally {
    clearTimeout(timer);
  }
}
