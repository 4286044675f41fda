// Draws one chart: reads a JSON job on standard input, writes SVG to standard output.
import { COLORS, type Scheme } from "./colors.ts";
import {
  type Faults,
  type Loss,
  nameOf,
  type Speed,
  type Speeds,
} from "./data.ts";
import { type Element, load } from "./plot.ts";

/** What to draw. */
export type Job =
  & { readonly scheme: Scheme }
  & (
    | { readonly kind: "speed"; readonly data: Speeds }
    | { readonly kind: "faults"; readonly data: Faults }
  );

const { plot: Plot, document } = await load();
const WIDTH = 800;

function speed({ speeds, machine }: Speeds, scheme: Scheme): string {
  const colors = COLORS[scheme];
  const clients = [...new Set(speeds.map(({ client }) => client))];
  const titles = [...new Set(speeds.map(({ title }) => title))];
  const most = Math.max(1.1, ...speeds.map(({ ratio }) => ratio));
  const svg = Plot.plot({
    document,
    ...size(titles.length * 30 + 76, scheme, {
      marginLeft: 250,
      marginBottom: 46,
    }),
    x: {
      labelOffset: 42,
      label: "share of a raw socket's speed →",
      domain: [0, most],
      grid: true,
    },
    y: { label: null, domain: titles },
    color: { domain: clients, range: colors.clients, legend: false },
    symbol: {
      domain: clients,
      range: ["circle", "square", "triangle", "diamond", "star"],
    },
    marks: [
      Plot.ruleX([1], { stroke: colors.soft, strokeDasharray: "4 3" }),
      Plot.ruleY(titles, { stroke: colors.rule }),
      Plot.dot(speeds, {
        x: "ratio",
        y: "title",
        fill: "client",
        symbol: "client",
        r: 5.5,
        title: ({ title, client, ratio }: Speed) =>
          `${title}: ${nameOf(client)} ${ratio.toFixed(2)}`,
      }),
    ],
  });
  return finished(svg, {
    scheme,
    title:
      "Speed of clients, as a share of what a raw socket does in the same run",
    description: titles.map((title) =>
      `${title}: ${
        speeds.filter((speed) => speed.title === title)
          .map(({ client, ratio }) => `${nameOf(client)} ${ratio.toFixed(2)}`)
          .join(", ")
      }.`
    ).join(" "),
    legend: clients.map((client, i) => [nameOf(client), colors.clients[i]!]),
    footer: footerOf(
      machine,
      `Dashed: a raw socket. ${
        machine.rounds === undefined ? "" : `${machine.rounds}; `
      }`,
    ),
  });
}

function faults({ losses, machine }: Faults, scheme: Scheme): string {
  const colors = COLORS[scheme];
  const clients = [...new Set(losses.map(({ client }) => nameOf(client)))];
  const rowOf = ({ on, what }: Loss) =>
    on === "one server" ? what : `${what} (${on})`;
  const titles = [...new Set(losses.map(rowOf))];
  const most = Math.max(0.01, ...losses.map(harmOf));
  const svg = Plot.plot({
    document,
    ...size(titles.length * 42 + 60, scheme, {
      marginLeft: 325,
      marginTop: 30,
    }),
    x: { label: null, domain: clients, axis: "top", tickSize: 0 },
    y: { label: null, domain: titles, tickSize: 0 },
    color: { type: "identity" },
    marks: [
      Plot.cell(losses, {
        x: ({ client }: Loss) => nameOf(client),
        y: rowOf,
        inset: 1.5,
        rx: 4,
        fill: (loss: Loss) =>
          harmOf(loss) === 0
            ? colors.none
            : mixed(colors.losses, Math.sqrt(harmOf(loss) / most)),
      }),
      Plot.text(losses, {
        x: ({ client }: Loss) => nameOf(client),
        y: rowOf,
        text: (loss: Loss) => textOf(loss).replace(", ", "\n"),
        fill: colors.text,
        fontSize: 13,
      }),
    ],
  });
  return finished(svg, {
    scheme,
    title:
      "Events lost, commands that ran twice and calls that never end, by client and fault",
    description: titles.map((title) =>
      `${title}: ${
        losses.filter((loss) => rowOf(loss) === title)
          .map((loss) => `${nameOf(loss.client)} ${textOf(loss)}`).join("; ")
      }.`
    ).join(" "),
    legend: [],
    footer: footerOf(
      machine,
      "Each client with its default options, under the same load. ",
    ),
  });
}

/** The share of calls that went wrong. */
const harmOf = ({ events, lost, doubled, hung }: Loss): number =>
  (lost + doubled + hung) / (2 * events);

function textOf({ lost, doubled, hung }: Loss): string {
  const number = (n: number) => n.toLocaleString("en-US");
  return [
    ...lost > 0 ? [`${number(lost)} lost`] : [],
    ...doubled > 0 ? [`${number(doubled)} twice`] : [],
    ...hung > 0 ? [`${number(hung)} never end`] : [],
  ].join(", ") || "nothing lost";
}

const size = (height: number, scheme: Scheme, margins: object): object => ({
  width: WIDTH,
  height,
  marginRight: 20,
  ...margins,
  style: {
    background: "transparent",
    color: COLORS[scheme].text,
    fontFamily: "system-ui, sans-serif",
    fontSize: "13px",
  },
});

/** Between two colors, in sixteenths so that rounding is the same everywhere. */
function mixed([from, to]: readonly [string, string], share: number): string {
  const part = Math.round(Math.min(1, share) * 16) / 16;
  const channels = (color: string) =>
    [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
  const [a, b] = [channels(from), channels(to)];
  return `#${
    a.map((n, i) =>
      Math.round(n + (b[i]! - n) * part).toString(16).padStart(2, "0")
    ).join("")
  }`;
}

function footerOf(
  machine: Readonly<Record<string, string>>,
  note: string,
): string[] {
  const { date, machine: where, deno, redis, ours, ...others } = machine;
  return [
    `${note}${date}; ${where}; Deno ${deno}, Redis ${redis}.`,
    `This client ${ours}, ${
      ["ioredis", "node-redis", "bun"].filter((name) => others[name])
        .map((name) => `${name === "bun" ? "Bun" : name} ${others[name]}`)
        .join(", ")
    }.`,
  ];
}

interface Frame {
  readonly scheme: Scheme;
  readonly title: string;
  readonly description: string;
  readonly legend: readonly (readonly [name: string, color: string])[];
  readonly footer: readonly string[];
}

const SYMBOLS = ["●", "■", "▲", "◆", "★"];

/** The picture with its name, legend and footer, as a file of its own. */
function finished(
  svg: Element,
  { scheme, title, description, legend, footer }: Frame,
): string {
  const colors = COLORS[scheme];
  const inner = svg.innerHTML;
  const height = Number(/height="([\d.]+)"/.exec(svg.outerHTML)![1]);
  const top = 34 + (legend.length > 0 ? 26 : 0);
  const total = top + height + 20 + footer.length * 17;
  const escaped = (text: string) =>
    text.replace(/[&<>]/g, (char) => `&#${char.charCodeAt(0)};`);
  const items = legend.map(([name, color], i) =>
    `<tspan dx="${i === 0 ? 0 : 18}" fill="${color}">${SYMBOLS[i]}</tspan> ${
      escaped(name)
    }`
  ).join("");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${total}" width="${WIDTH}" height="${total}" role="img" aria-labelledby="title desc" font-family="system-ui, sans-serif" font-size="13" fill="${colors.text}" color="${colors.text}">
<title id="title">${escaped(title)}</title>
<desc id="desc">${escaped(description)}</desc>
<text x="10" y="22" font-size="16" font-weight="600">${escaped(title)}</text>
${
    legend.length > 0
      ? `<text x="10" y="48" xml:space="preserve">${items}</text>`
      : ""
  }
<g transform="translate(0 ${top})" text-anchor="middle">${inner}</g>
${
    footer.map((line, i) =>
      `<text x="10" y="${
        top + height + 20 + i * 17
      }" font-size="11" fill="${colors.soft}">${escaped(line)}</text>`
    ).join("\n")
  }
</svg>
`;
}

if (import.meta.main) {
  const job: Job = JSON.parse(
    await new Response(Deno.stdin.readable).text(),
  );
  const svg = job.kind === "speed"
    ? speed(job.data, job.scheme)
    : faults(job.data, job.scheme);
  await new Response(svg).body!.pipeTo(Deno.stdout.writable);
}
