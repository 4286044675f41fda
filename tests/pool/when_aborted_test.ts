// What is called when a signal aborts: each once, in order, and nothing that was cancelled.
import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { whenAborted } from "../../pool/when_aborted.ts";

function watched(count: number) {
  const controller = new AbortController();
  const called: number[] = [];
  const cancels = Array.from(
    { length: count },
    (_, i) => whenAborted(controller.signal, () => called.push(i)),
  );
  return { controller, called, cancels };
}

Deno.test("What was cancelled is not called, whatever its place; the others are, once and in order", () => {
  for (const cancelled of [[], [0], [1], [3], [0, 1], [2, 3], [3, 0], [1, 2]]) {
    const { controller, called, cancels } = watched(4);
    for (const i of cancelled) {
      cancels[i]!();
      cancels[i]!();
    }
    controller.abort();
    controller.abort();
    assertEquals(called, [0, 1, 2, 3].filter((i) => !cancelled.includes(i)));
    for (const cancel of cancels) cancel();
  }
});

Deno.test("What is called may cancel what comes after it", () => {
  const { controller, called, cancels } = watched(2);
  whenAborted(controller.signal, () => cancelLast());
  const cancelLast = whenAborted(controller.signal, () => called.push(3));
  cancels[0]!();
  controller.abort();
  assertEquals(called, [1]);
});

Deno.test("A signal has a listener as long as something waits for it", () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners++;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners--;
    remove(...args);
  };
  const first = whenAborted(signal, () => {});
  const second = whenAborted(signal, () => {});
  assertEquals(listeners, 1);
  first();
  first();
  assertEquals(listeners, 1);
  second();
  assertEquals(listeners, 0);
  whenAborted(signal, () => {})();
  assertEquals(listeners, 0);
});
