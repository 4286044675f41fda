// Opens the status page of a service in a browser, and prints what is to be seen while Redis goes away and comes back.
import { launch, open, type Page } from "../support/browser.ts";

/** What was seen. */
export interface SeenStatus {
  readonly headlines: readonly string[];
  readonly figures: Readonly<Record<string, string>>;
  readonly deaths: readonly string[];
  /** Whether the button kept the focus while the page was renewed. */
  readonly keepsFocus: boolean;
  readonly paused: string;
  readonly widths: readonly number[];
  readonly backgrounds: readonly string[];
  readonly errors: readonly string[];
  /** The seconds of a page without a script. */
  readonly refresh: string;
  readonly withoutScript: string;
  /** The status without the token. */
  readonly unknown: number;
}

/** A line of this on standard input goes on. */
async function* lines(): AsyncGenerator<string> {
  for await (
    const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())
  ) yield* text.trim().split("\n");
}

const HEADLINE = `document.querySelector(".state").textContent`;

async function look(url: string, token: string): Promise<SeenStatus> {
  const browser = await launch();
  const httpCredentials = { username: "any", password: token };
  const { page, trouble } = await open(browser, url, { httpCredentials });
  const headlines = [await page.evaluate<string>(HEADLINE)];
  const button = page.getByRole("button", { name: "Pause updates" });
  await button.focus();
  const told = lines();
  const next = async (expected: string) => {
    console.log(expected); // the test breaks or mends something, and answers
    await told.next();
    let headline = "";
    while (!headline.includes(expected)) {
      await page.waitForTimeout(100);
      headline = await page.evaluate<string>(HEADLINE);
    }
    headlines.push(headline);
  };
  await next("Redis is away");
  await next("All is well");
  const keepsFocus = await page.evaluate<boolean>(
    `document.activeElement?.id === "pause"`,
  );
  const figures = await figuresOf(page);
  const deaths = await page.locator("ol li").allTextContents();
  await button.click();
  const paused = await page.getByRole("status").textContent();
  const sizes = [];
  const backgrounds = [];
  for (
    const [width, colorScheme] of [[360, "light"], [1440, "dark"]] as const
  ) {
    const { page } = await open(browser, url, {
      httpCredentials,
      viewport: { width, height: 900 },
      colorScheme,
    });
    sizes.push(
      await page.evaluate<number>(
        "document.documentElement.scrollWidth - innerWidth",
      ),
    );
    backgrounds.push(
      await page.evaluate<string>(
        "getComputedStyle(document.body).backgroundColor",
      ),
    );
  }
  const plain = await open(browser, url, {
    httpCredentials,
    javaScriptEnabled: false,
  });
  const seen: SeenStatus = {
    headlines,
    figures,
    deaths,
    keepsFocus,
    paused,
    widths: sizes,
    backgrounds,
    errors: trouble.errors,
    refresh: await plain.page.evaluate(
      `document.querySelector("meta[http-equiv=refresh]").content`,
    ),
    withoutScript: await plain.page.locator("h1").textContent(),
    unknown: (await fetch(url)).status,
  };
  await browser.close();
  return seen;
}

const figuresOf = async (page: Page): Promise<Record<string, string>> =>
  Object.fromEntries(
    await page.evaluate<[string, string][]>(
      `[...document.querySelectorAll("dl div")].map((div) => [div.querySelector("dt").textContent, div.querySelector("dd").textContent])`,
    ),
  );

if (import.meta.main) {
  const seen = await look(Deno.args[0]!, Deno.args[1]!);
  console.log(JSON.stringify(seen));
  Deno.exit();
}
