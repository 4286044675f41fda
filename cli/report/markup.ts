// HTML as text: what is put into a template is escaped.

/** Text that is HTML already. */
export class Markup {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** What a template takes. Lists are joined; `undefined` is left out. */
type Part = Markup | string | number | undefined | readonly Part[];

/**
 * A template of HTML. Texts are escaped, so that none of a server's can become markup.
 *
 * @example
 * ```ts ignore
 * markup`<p title="${title}">${text}</p>`;
 * ```
 */
export const markup = (
  strings: TemplateStringsArray,
  ...parts: readonly Part[]
): Markup =>
  new Markup(
    strings.reduce((text, string, i) => text + textOf(parts[i - 1]) + string),
  );

function textOf(part: Part): string {
  if (part === undefined) return "";
  if (part instanceof Markup) return `${part}`;
  if (typeof part === "object") return part.map(textOf).join("");
  return `${part}`.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
