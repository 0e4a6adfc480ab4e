/** Plots as SVG of our own: lines over time, and bars. Colours come from the style sheet. */

import { svg } from "./dom.ts";
import { ticks } from "./quality-series.ts";
import { durationText } from "./words.ts";

export interface Line {
  readonly label: string;
  /** Seconds, value; undefined interrupts the line. */
  readonly points: readonly (readonly [number, number | undefined])[];
}

export interface PlotOptions {
  /** What a screen reader says of the picture. */
  readonly label: string;
  readonly unit: string;
  readonly lines: readonly Line[];
  /** The highest value of the axis is at least this. */
  readonly atLeast: number;
}

const WIDTH = 640;
const HEIGHT = 170;
const LEFT = 46;
const [RIGHT, TOP, BOTTOM] = [WIDTH - 10, 10, HEIGHT - 26];

export function linePlot({ label, unit, lines, atLeast }: PlotOptions): SVGSVGElement {
  const points = lines.flatMap((line) => line.points);
  const longest = Math.max(1, ...points.map(([x]) => x));
  const yTicks = ticks(Math.max(atLeast, ...points.map(([, y]) => y ?? 0)));
  const highest = yTicks.at(-1) ?? 1;
  const xAt = (x: number): number => LEFT + ((RIGHT - LEFT) * x) / longest;
  const yAt = (y: number): number => BOTTOM - ((BOTTOM - TOP) * y) / highest;
  const grid = yTicks.flatMap((y) => [
    svg("line", { class: "grid", ...ends(LEFT, yAt(y), RIGHT, yAt(y)) }),
    svg("text", { class: "axis", x: String(LEFT - 6), y: String(yAt(y) + 4), "text-anchor": "end" }, `${y}${unit}`),
  ]);
  const times = ticks(longest)
    .filter((x) => x <= longest && Number.isInteger(x))
    .map((x) =>
      svg("text", { class: "axis", x: xAt(x).toFixed(1), y: String(HEIGHT - 8), "text-anchor": "middle" }, durationText(x)),
    );
  return svg(
    "svg",
    { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    ...grid,
    ...times,
    ...lines.map((line, at) => lineOf(line, at, xAt, yAt)),
  );
}

function lineOf(line: Line, at: number, xAt: (x: number) => number, yAt: (y: number) => number): SVGGElement {
  let path = "";
  let isOn = false;
  const marks: SVGElement[] = [];
  for (const [x, y] of line.points) {
    if (y === undefined) {
      isOn = false;
      continue;
    }
    const [px, py] = [xAt(x).toFixed(1), yAt(y).toFixed(1)];
    path += `${isOn ? "L" : "M"}${px} ${py}`;
    isOn = true;
    if (line.points.length <= 60) marks.push(svg("circle", { cx: px, cy: py, r: "2.5" }));
  }
  return svg("g", { class: `line line-${at % 2}` }, svg("path", { d: path }), ...marks);
}

function ends(x1: number, y1: number, x2: number, y2: number): Record<string, string> {
  return { x1: String(x1), y1: y1.toFixed(1), x2: String(x2), y2: y2.toFixed(1) };
}

export interface Bar {
  readonly label: string;
  readonly value: number;
}

const BAR_HEIGHT = 22;
const LABEL_WIDTH = 250;
const LONGEST_LABEL = 36;

/** Bars from left to right, one below the other; the table beside says the same. */
export function barPlot(label: string, bars: readonly Bar[]): SVGSVGElement {
  const most = Math.max(1, ...bars.map(({ value }) => value));
  const height = bars.length * BAR_HEIGHT + 4;
  const rows = bars.flatMap(({ label: name, value }, at) => {
    const y = at * BAR_HEIGHT + 2;
    const width = ((WIDTH - LABEL_WIDTH - 50) * value) / most;
    const text = name.length > LONGEST_LABEL ? `${name.slice(0, LONGEST_LABEL - 1)}…` : name;
    return [
      svg("text", { class: "axis", x: String(LABEL_WIDTH - 8), y: String(y + 15), "text-anchor": "end" }, text),
      svg("rect", { class: "bar-fill", x: String(LABEL_WIDTH), y: String(y + 3), width: width.toFixed(1), height: "15", rx: "3" }),
      svg("text", { class: "axis", x: (LABEL_WIDTH + width + 6).toFixed(1), y: String(y + 15) }, String(value)),
    ];
  });
  return svg("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label }, ...rows);
}
