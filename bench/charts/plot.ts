// The part of Observable Plot and of its document that the charts need, so that checking needs no install.

/** A value of a channel, or how it is found. */
type Channel = string | number | boolean | null | ((item: never) => unknown);
type Options = Readonly<Record<string, unknown>>;

/** `@observablehq/plot`. */
export interface Plot {
  plot(options: Options): Element;
  dot(
    data: readonly unknown[],
    options: Readonly<Record<string, Channel>>,
  ): unknown;
  cell(
    data: readonly unknown[],
    options: Readonly<Record<string, Channel>>,
  ): unknown;
  text(
    data: readonly unknown[],
    options: Readonly<Record<string, Channel>>,
  ): unknown;
  ruleX(
    data: readonly unknown[],
    options?: Readonly<Record<string, Channel>>,
  ): unknown;
  ruleY(
    data: readonly unknown[],
    options?: Readonly<Record<string, Channel>>,
  ): unknown;
}

/** An element of the document. */
export interface Element {
  readonly outerHTML: string;
  readonly tagName: string;
  innerHTML: string;
  setAttribute(name: string, value: string): void;
  querySelector(selector: string): Element | null;
  querySelectorAll(selector: string): Iterable<Element>;
}

const PLOT = "@observablehq/plot";
const DOCUMENT = "linkedom";

/** Both, as they are installed beside this file. */
export async function load(): Promise<{ plot: Plot; document: unknown }> {
  const plot: Plot = await import(PLOT);
  const { parseHTML }: { parseHTML(html: string): { document: unknown } } =
    await import(DOCUMENT);
  return { plot, document: parseHTML("<body></body>").document };
}
