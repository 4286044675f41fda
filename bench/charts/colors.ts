// The colors of the charts, on light and on dark pages. Clients differ by shape, too.

/** The page that a picture stands on. */
export type Scheme = "light" | "dark";

/** What a scheme looks like. */
export interface Colors {
  readonly text: string;
  readonly soft: string;
  readonly rule: string;
  /** Of the clients, in their order: Okabe and Ito's, which readers with any color vision tell apart. */
  readonly clients: readonly string[];
  /** Nothing lost, and from little to much. */
  readonly none: string;
  readonly losses: readonly [least: string, most: string];
}

export const COLORS: Readonly<Record<Scheme, Colors>> = {
  light: {
    text: "#1c2024",
    soft: "#5c636b",
    rule: "#d5d9dd",
    clients: ["#0072b2", "#d55e00", "#b58900", "#7a5195", "#009e73"],
    none: "#d9efe3",
    losses: ["#fbe3d6", "#d55e00"],
  },
  dark: {
    text: "#e4e7ea",
    soft: "#a0a8b0",
    rule: "#363c43",
    clients: ["#56b4e9", "#ff8c42", "#f0e442", "#cc99ee", "#2fc99b"],
    none: "#1d3d2e",
    losses: ["#4a2f22", "#c05a12"],
  },
};
