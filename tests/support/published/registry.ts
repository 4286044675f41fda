// JSR on this machine, for tests: the standard library and this module, for Deno and as packages of npm.
import type { Package } from "./package.ts";

/** A registry that speaks what JSR speaks to Deno and to npm. */
export class Registry implements AsyncDisposable {
  /** For `JSR_URL`, and as the registry of the scope `@jsr` for npm. */
  readonly url: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #packages = new Map<string, Package>();

  constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) =>
        this.#answer(decodeURIComponent(new URL(request.url).pathname)),
    );
    this.url = `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  /** Adds packages. */
  publish(...packages: readonly Package[]): void {
    for (const it of packages) {
      this.#packages.set(it.name, it);
      this.#packages.set(it.npm.manifest.name, it);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  /** @param path `/@scope/name`, for JSR with a file. */
  async #answer(path: string): Promise<Response> {
    const [, scope, name, ...rest] = path.split("/");
    const found = this.#packages.get(`${scope}/${name}`);
    const answer = found === undefined
      ? undefined
      : scope === "@jsr"
      ? await this.#answerToNpm(found, rest)
      : await answerToDeno(found, rest.join("/"));
    return answer ?? new Response("not found", { status: 404 });
  }

  /** @see {@link https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md} */
  async #answerToNpm(
    { version, npm: { manifest, tarball } }: Package,
    rest: readonly string[],
  ): Promise<Response> {
    if (rest.length > 0) return new Response(tarball);
    const dist = {
      tarball: `${this.url}${manifest.name}/${version}.tgz`,
      integrity: `sha512-${(await digest("SHA-512", tarball)).toBase64()}`,
    };
    return Response.json({
      name: manifest.name,
      "dist-tags": { latest: version },
      versions: { [version]: { ...manifest, dist } },
    });
  }
}

/** @see {@link https://jsr.io/docs/api#jsr-registry-api} */
async function answerToDeno(
  { name, version, exports, files }: Package,
  path: string,
): Promise<Response | undefined> {
  if (path === "meta.json") {
    const [scope, short] = name.slice(1).split("/");
    return Response.json({
      scope,
      name: short,
      latest: version,
      versions: { [version]: {} },
    });
  }
  if (path === `${version}_meta.json`) {
    const manifest = Object.fromEntries(
      await Promise.all(Array.from(files, async ([path, bytes]) => [
        path,
        {
          size: bytes.length,
          checksum: `sha256-${(await digest("SHA-256", bytes)).toHex()}`,
        },
      ])),
    );
    return Response.json({ manifest, exports });
  }
  const bytes = files.get(path.slice(version.length));
  return bytes && new Response(bytes, {
    headers: { "content-type": typeOf(path) },
  });
}

const typeOf = (path: string): string =>
  path.endsWith(".ts") ? "text/typescript" : "text/javascript";

const digest = async (
  algorithm: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest(algorithm, bytes));
