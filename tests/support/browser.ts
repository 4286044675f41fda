// A real browser for programs of tests: Debian's Chromium, driven by Playwright.
import { createRequire } from "node:module";
import { toolModules } from "./tools.ts";

/** The part of Playwright that is used, so that checking needs no install. */
export interface Browser {
  newContext(options: ContextOptions): Promise<Context>;
  close(): Promise<void>;
}

/** How a page is seen. */
export interface ContextOptions {
  readonly viewport?: { readonly width: number; readonly height: number };
  readonly colorScheme?: "light" | "dark";
  readonly timezoneId?: string;
  readonly javaScriptEnabled?: boolean;
  readonly httpCredentials?: {
    readonly username: string;
    readonly password: string;
  };
}

interface Context {
  newPage(): Promise<Page>;
  close(): Promise<void>;
}

/** A page. */
export interface Page {
  readonly keyboard: { press(key: string): Promise<void> };
  on(event: string, listener: (what: never) => void): void;
  goto(url: string): Promise<{ status(): number } | null>;
  title(): Promise<string>;
  evaluate<T>(expression: string): Promise<T>;
  emulateMedia(options: { readonly media: "print" | "screen" }): Promise<void>;
  screenshot(
    options: { readonly path: string; readonly fullPage: boolean },
  ): Promise<unknown>;
  waitForTimeout(ms: number): Promise<void>;
  getByRole(
    role: string,
    options?: { readonly name?: string | RegExp },
  ): Locator;
  locator(selector: string): Locator;
}

/** Elements of a page. */
export interface Locator {
  count(): Promise<number>;
  first(): Locator;
  textContent(): Promise<string>;
  allTextContents(): Promise<string[]>;
  click(): Promise<void>;
  focus(): Promise<void>;
  isVisible(): Promise<boolean>;
}

/** Where distributions put it. */
const PATHS = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];

/** The path of the browser; `undefined` if there is none. */
export function browserPath(): string | undefined {
  return PATHS.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** Starts the browser. */
export async function launch(): Promise<Browser> {
  const { chromium } = createRequire(toolModules)("playwright-core");
  return await chromium.launch({
    executablePath: browserPath(),
    args: ["--no-sandbox"], // root has none
  });
}

/** What went wrong on a page, and what it asked of the network. */
export interface Trouble {
  readonly errors: string[];
  readonly requests: string[];
}

/** Opens a page, and notes what goes wrong on it from the start. */
export async function open(
  browser: Browser,
  url: string,
  options: ContextOptions = {},
): Promise<{ page: Page; trouble: Trouble; close(): Promise<void> }> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const trouble: Trouble = { errors: [], requests: [] };
  page.on("console", (message: { type(): string; text(): string }) => {
    if (["error", "warning"].includes(message.type())) {
      trouble.errors.push(message.text());
    }
  });
  page.on("pageerror", (error: Error) => trouble.errors.push(`${error}`));
  page.on("request", (request: { url(): string }) => {
    if (request.url() !== url && !request.url().startsWith("data:")) {
      trouble.requests.push(request.url());
    }
  });
  await page.goto(url);
  return { page, trouble, close: () => context.close() };
}
