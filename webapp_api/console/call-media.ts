/** Media of a call: quality over time and at the end, and what the relay was told. */

import { h, table, type Child } from "./dom.ts";
import { membersOf, textOf } from "./members.ts";
import { linePlot } from "./plot.ts";
import { isEstimate, LEG_TEXT, qualityOf, type QualityPoint, type QualitySeries } from "./quality-series.ts";
import type { Trace } from "./trace.ts";
import { durationText, offsetText } from "./words.ts";
import type { TraceCard } from "./view-call.ts";

interface Figure {
  readonly title: string;
  readonly unit: string;
  readonly atLeast: number;
  readonly of: (point: QualityPoint) => number | undefined;
}

const FIGURES: readonly Figure[] = [
  { title: "Mean opinion score", unit: "", atLeast: 5, of: (point) => point.mos },
  { title: "Loss", unit: " %", atLeast: 2, of: (point) => point.lossPercent },
  { title: "Jitter", unit: " ms", atLeast: 20, of: (point) => point.jitterMs },
];

export function qualityCard(): TraceCard {
  const body = h("div", { class: "stack" });
  const element = h("section", { class: "card", "aria-labelledby": "quality-title" }, h("h2", { id: "quality-title" }, "Media quality"), body);
  return {
    element,
    show(trace) {
      const series = qualityOf(trace);
      const media = [...new Set(series.map(({ medium }) => medium))];
      const wereOpen = new Set([...body.querySelectorAll("details[open]")].map((details) => details.id));
      const parts = media.flatMap((medium) => overTime(medium, series.filter((one) => one.medium === medium), wereOpen));
      const none = h("p", { class: "quiet" }, "Nothing was measured while the call ran.");
      body.replaceChildren(...(parts.length === 0 ? [none] : parts), ...atTheEnd(trace));
    },
  };
}

function overTime(medium: string, series: readonly QualitySeries[], wereOpen: ReadonlySet<string>): Node[] {
  const plots = FIGURES.flatMap(({ title, unit, atLeast, of }) => {
    const lines = series.map(({ leg, points }) => ({
      label: LEG_TEXT[leg] ?? leg,
      points: points.map((point) => [point.afterS, of(point)] as const),
    }));
    const told = lines.filter((line) => line.points.some(([, value]) => value !== undefined));
    if (told.length === 0) return [];
    const summary = told.map((line) => `${line.label} ${rangeText(line.points.map(([, value]) => value), unit)}`).join("; ");
    const plot = linePlot({ label: `${title} of ${medium} over time: ${summary}`, unit, lines, atLeast });
    return [h("figure", {}, h("figcaption", {}, `${title}, ${medium}`), plot)];
  });
  const legend = h("p", { class: "legend" }, ...series.map(({ leg }, at) => h("span", { class: `key line-${at % 2}` }, `${LEG_TEXT[leg] ?? leg} hears`)));
  const id = `figures-${medium}`;
  const details = h("details", { id, open: wereOpen.has(id) }, h("summary", {}, `Figures of ${medium} as a table`), figureTable(medium, series));
  return [h("h3", {}, medium === "audio" ? "Sound" : medium === "video" ? "Picture" : medium), ...(plots.length > 0 ? [legend, ...plots] : []), details];
}

function rangeText(values: readonly (number | undefined)[], unit: string): string {
  const known = values.filter((value) => value !== undefined);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const rounded = (value: number): string => String(Math.round(value * 100) / 100);
  return least === most ? `${rounded(least)}${unit}` : `${rounded(least)} to ${rounded(most)}${unit}`;
}

function figureTable(medium: string, series: readonly QualitySeries[]): HTMLElement {
  const columns = ["Time", "Side", "MOS", "Loss, %", "Jitter, ms", "Packets sent"].map((title, at) => ({ title, isNumber: at > 1 }));
  const rows = series
    .flatMap(({ leg, points }) => points.map((point) => ({ leg, point })))
    .sort((a, b) => a.point.afterS - b.point.afterS)
    .map(({ leg, point }) => [
      durationText(point.afterS),
      LEG_TEXT[leg] ?? leg,
      ...[point.mos, point.lossPercent, point.jitterMs, point.packets].map(figureText),
    ]);
  return table(`Quality of ${medium} over time`, columns, rows);
}

function figureText(value: number | undefined): string {
  return value === undefined ? "not told" : String(Math.round(value * 100) / 100);
}

/** The figures of the whole call, both legs (rtpengine/quality.py: MediumQuality). */
function atTheEnd({ media }: Trace): Node[] {
  const columns = ["Medium", "Side", "Codec", "Packets sent", "Errors", "MOS", "Loss, %", "Jitter, ms"].map((title, at) => ({ title, isNumber: at > 2 }));
  const rows: Child[][] = [];
  for (const [medium, told] of Object.entries(media)) {
    const legs = membersOf(told);
    if (textOf(legs, "why") !== "") rows.push([medium, textOf(legs, "why")]);
    for (const leg of ["wic", "ims"]) {
      const figures = membersOf(legs[leg]);
      if (Object.keys(figures).length === 0) continue;
      const told = membersOf(figures["heard"]);
      const heard = isEstimate(told) ? {} : told;
      const number = (from: typeof heard, name: string): string => figureText(typeof from[name] === "number" ? from[name] : undefined);
      rows.push([
        medium,
        LEG_TEXT[leg] ?? leg,
        textOf(figures, "codec"),
        number(figures, "packets"),
        number(figures, "errors"),
        isEstimate(told) ? `${number(told, "mos")} (estimated)` : number(told, "mos"),
        number(heard, "loss_percent"),
        number(heard, "jitter_ms"),
      ]);
    }
  }
  return rows.length === 0 ? [] : [h("h3", {}, "Of the whole call"), table("Quality of the whole call", columns, rows)];
}

export function relayCard(): TraceCard {
  const body = h("div", { class: "table" });
  const element = h("section", { class: "card", "aria-labelledby": "relay-title" }, h("h2", { id: "relay-title" }, "Relay commands"), body);
  return {
    element,
    show(trace) {
      const columns = [{ title: "Time" }, { title: "Command" }, { title: "Took, ms", isNumber: true }, { title: "Error" }, { title: "With" }];
      const rows = trace.entries
        .filter(({ what }) => what === "relay")
        .map(({ at, name, why, values }) => {
          const { ms, ...rest } = values;
          const given = Object.entries(rest).map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
          return [h("time", {}, offsetText(at - trace.beganAt)), name, typeof ms === "number" ? figureText(ms) : "", why || "none", h("small", {}, given.join("; "))];
        });
      body.replaceChildren(rows.length === 0 ? h("p", { class: "quiet" }, "The relay was told nothing.") : table("Commands to the media relay", columns, rows));
    },
  };
}
