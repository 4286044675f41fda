// Opens the page of a watch in a browser in several ways, and prints what is to be seen.
import { launch, open } from "../../support/browser.ts";

/** What is seen of a page. */
export interface Sight {
  readonly width: number;
  readonly scheme: string;
  /** How much wider than the screen it is, in pixels. */
  readonly beyond: number;
  readonly background: string;
  readonly errors: readonly string[];
  readonly requests: readonly string[];
}

/** What was found out. */
export interface Seen {
  readonly sights: readonly Sight[];
  readonly title: string;
  readonly headings: readonly string[];
  /** Numbers of the summary, by name. */
  readonly figures: Readonly<Record<string, string>>;
  /** Rows of the table of causes. */
  readonly causes: readonly (readonly string[])[];
  /** The names of the life lines. */
  readonly lines: readonly string[];
  readonly moments: readonly string[];
  /** The first moment, in two time zones and without a script. */
  readonly times: Readonly<Record<"Berlin" | "Kathmandu" | "without", string>>;
  /** The text of the page without a script. */
  readonly textWithout: string;
  /** Where the keyboard leads: the name of the first mark, and the moment after Enter. */
  readonly mark: string;
  readonly hash: string;
  /** The background when it is printed from a dark screen. */
  readonly printed: string;
}

const BACKGROUND = "getComputedStyle(document.body).backgroundColor";
const cells = (selector: string) =>
  `[...document.querySelectorAll(${
    JSON.stringify(selector)
  })].map((row) => [...row.cells].map((cell) => cell.textContent))`;

async function look(url: string): Promise<Seen> {
  const browser = await launch();
  const sights: Sight[] = [];
  for (const width of [360, 1440]) {
    for (const scheme of ["light", "dark"] as const) {
      const { page, trouble, close } = await open(browser, url, {
        viewport: { width, height: 900 },
        colorScheme: scheme,
      });
      sights.push({
        width,
        scheme,
        beyond: await page.evaluate(
          "document.documentElement.scrollWidth - innerWidth",
        ),
        background: await page.evaluate(BACKGROUND),
        ...trouble,
      });
      await close();
    }
  }
  const at = async (timezoneId: string) => {
    const { page, close } = await open(browser, url, { timezoneId });
    const text = await page.locator(".moments time").first().textContent();
    await close();
    return text;
  };
  const plain = await open(browser, url, { javaScriptEnabled: false });
  const without = await plain.page.locator(".moments time").first()
    .textContent();
  const textWithout = await plain.page.locator("body").textContent();
  const { page } = await open(browser, url, { colorScheme: "dark" });
  const mark = page.getByRole("link").first();
  await mark.focus();
  await page.keyboard.press("Enter");
  const hash = await page.evaluate<string>("location.hash");
  await page.emulateMedia({ media: "print" });
  const seen: Seen = {
    sights,
    title: await page.title(),
    headings: await page.getByRole("heading").allTextContents(),
    figures: Object.fromEntries(
      await page.evaluate<[string, string][]>(
        `[...document.querySelectorAll("dl div")].map((div) => [div.querySelector("dt").textContent, div.querySelector("dd").textContent])`,
      ),
    ),
    causes: await page.evaluate(
      cells("section[aria-labelledby=summary] tbody tr"),
    ),
    lines: await page.evaluate(
      `[...document.querySelectorAll("svg[role=img]")].map((svg) => svg.getAttribute("aria-label"))`,
    ),
    moments: await page.locator(".moments li").allTextContents(),
    times: {
      Berlin: await at("Europe/Berlin"),
      Kathmandu: await at("Asia/Kathmandu"),
      without,
    },
    textWithout,
    mark: await mark.textContent(),
    hash,
    printed: await page.evaluate(BACKGROUND),
  };
  await browser.close();
  return seen;
}

if (import.meta.main) console.log(JSON.stringify(await look(Deno.args[0]!)));
