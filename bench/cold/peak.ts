// Peak: the most memory that this process has held, printed for bench.ts.

/** Prints the peak resident size in KiB, or 0 where there is no /proc. */
export function printPeak(): void {
  let kib = "0";
  try {
    const status = Deno.readTextFileSync("/proc/self/status");
    kib = /VmHWM:\s*(\d+)/.exec(status)?.[1] ?? kib;
  } catch {
    // Not Linux: time alone is compared.
  }
  console.log(kib);
}
