// The token that requests of an administrator must show.
import { Refusal } from "./requests.ts";

/** How a request can show it. A browser asks its user for a name and a password, and sends them as `Basic`. */
type Scheme = NonNullable<Refusal["scheme"]>;

/**
 * Checks the token of a request: `Bearer <token>`, or `Basic` with any name and the
 * token as the password.
 *
 * @param schemes How it may be shown. The first one is asked for.
 * @throws {Refusal} If it is not that token.
 */
export async function checkToken(
  { headers }: Request,
  token: string,
  schemes: readonly [Scheme, ...Scheme[]],
): Promise<void> {
  const text = headers.get("authorization") ?? "";
  const scheme = schemes.find((scheme) => text.startsWith(`${scheme} `));
  const value = text.slice(text.indexOf(" ") + 1);
  const shown = scheme === "Basic" ? passwordIn(value) : value;
  // How long it takes to compare two digests tells nothing of the token.
  const [given, expected] = await Promise.all([shown, token].map(digestOf));
  if (scheme !== undefined && given === expected) return;
  throw new Refusal(
    401,
    `expected Authorization: ${schemes.join(" or ")} and the ADMIN_TOKEN`,
    schemes[0],
  );
}

/** The password in the value of `Basic`. */
function passwordIn(value: string): string {
  try {
    const text = atob(value);
    return text.slice(text.indexOf(":") + 1);
  } catch {
    return ""; // not base64
  }
}

async function digestOf(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  return `${new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))}`;
}
