// The certificates and keys of the tests.

/** The text of a file in `certificates/`. */
export const certificate = (name: string): string =>
  Deno.readTextFileSync(new URL(`./certificates/${name}`, import.meta.url));
