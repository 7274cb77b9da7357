// The results as plots.

import type { TopLevelSpec } from "vega-lite";
import { BLUE, DIM, GREEN, HEADER, KEY, ORANGE, PURPLE, render } from "../plot.ts";
import { frontOf, isDistinct, type Method, type Sample, samplesOf } from "./reading.ts";
import type { Results } from "./results.ts";
import { METHODS } from "./tables.ts";

/** SVG by file name. */
export async function plots(all: readonly Results[]): Promise<Record<string, string>> {
  const heads = samplesOf(all, "softmax");
  const ffns = samplesOf(all, "ffn");
  return {
    "ablations-heads.svg": await render(headsPlot(heads.filter(({ name }) => SHOWN_HEADS.includes(name)))),
    "ablations-ffns.svg": await render(ffnsPlot(ffns.filter(isDistinct))),
    "ablations-shards.svg": await render(shardsPlot(heads)),
    "ablations-both.svg": await render(bothPlot([...heads, ...ffns])),
  };
}

const SHOWN_HEADS = ["tiny-lm", "500m, even", "8b, even", "8b, popular"];

const COLORS: Readonly<Partial<Record<Method, string>>> = {
  compression: BLUE,
  codes: GREEN,
  inputs: ORANGE,
  gates: DIM,
  shortlist: PURPLE,
};

function headsPlot(samples: readonly Sample[]): TopLevelSpec {
  return {
    title: "Heads: recall of the 32 best rows against bytes",
    description:
      "Recall against bytes for each head: what is recomputed reaches all rows at an eighth to a third of the bytes; the others come near with all of them.",
    ...fronts(samples, ["compression", "codes", "inputs", "shortlist"], "recall", { bytes: [0, 1], value: [0.5, 1] }),
  };
}

function ffnsPlot(samples: readonly Sample[]): TopLevelSpec {
  return {
    title: "Feed-forwards: error of the output against bytes",
    description:
      "Error of the output against bytes for each feed-forward: codes alone are off by least up to a fifth of the bytes, what is recomputed from there on.",
    ...fronts(samples, ["compression", "codes", "inputs", "gates", "shortlist"], "error", {
      bytes: [0, 0.5],
      value: [0, 1],
    }),
  };
}

/** A small plot for each layer, with the front of each method. */
function fronts(
  samples: readonly Sample[],
  methods: readonly Method[],
  measure: "recall" | "error",
  domains: { readonly bytes: number[]; readonly value: number[] },
) {
  const values = samples.flatMap((sample) =>
    methods.flatMap((method) =>
      frontOf(sample, method).map((point) => ({
        ...{ layer: sample.name, method: METHODS[method], bytes: point.bytes / sample.layer.denseBytes },
        value: point[measure]!.mean,
      })),
    ),
  );
  const scale = { domain: methods.map((method) => METHODS[method]), range: methods.map((method) => COLORS[method]!) };
  return {
    data: { values },
    columns: 2,
    facet: facetBy("layer", samples),
    spec: {
      ...{ width: 300, height: 150 },
      mark: { type: "line" as const, point: { size: 24 }, clip: true },
      encoding: {
        x: {
          field: "bytes",
          type: "quantitative" as const,
          scale: { domain: domains.bytes },
          axis: { format: "%", title: "of the dense bytes", grid: false },
        },
        y: {
          field: "value",
          type: "quantitative" as const,
          scale: { domain: domains.value },
          axis: { format: measure === "recall" ? "%" : ".1f", title: null },
        },
        color: { field: "method", type: "nominal" as const, scale, legend: KEY },
      },
    },
  } satisfies Partial<TopLevelSpec>;
}

const SHOWN_SHARDS = 8;

function shardsPlot(heads: readonly Sample[]): TopLevelSpec {
  const samples = heads.filter(({ name }) => name === "tiny-lm" || name.startsWith("8b"));
  const series = [
    { name: "closed form", color: DIM },
    { name: "interleaved", color: GREEN },
    { name: "contiguous", color: ORANGE },
  ] as const;
  const values = samples.flatMap((sample) =>
    sample.points.flatMap(({ setting, recall, predicted }) => {
      if (setting.method !== "distributed" || setting.spread.shards !== SHOWN_SHARDS) return [];
      const { slack, layout } = setting.spread;
      const own = { layer: sample.name, slack };
      const measured = { ...own, series: layout as string, recall: recall.mean };
      return layout === "interleaved" ? [measured, { ...own, series: "closed form", recall: predicted! }] : [measured];
    }),
  );
  return {
    title: `Shards alone, exact scores, ${SHOWN_SHARDS} shards: recall against slack`,
    description:
      "Recall against slack: interleaved shards follow the closed form, contiguous ones of a head sorted by popularity lose most rows.",
    ...{ data: { values }, columns: 3, facet: facetBy("layer", samples) },
    spec: {
      ...{ width: 200, height: 170 },
      mark: { type: "line", point: { size: 24 } },
      encoding: {
        x: { field: "slack", type: "quantitative", axis: { title: "slack", grid: false }, scale: { domain: [1, 4] } },
        y: { field: "recall", type: "quantitative", axis: { format: "%", title: null }, scale: { domain: [0, 1] } },
        color: {
          field: "series",
          type: "nominal",
          legend: KEY,
          scale: { domain: series.map(({ name }) => name), range: series.map(({ color }) => color) },
        },
      },
    },
  };
}

function bothPlot(samples: readonly Sample[]): TopLevelSpec {
  const values = samples.flatMap(({ name, layer, part }) =>
    layer.interactions
      .filter((each) => each.part === part && each.spread.layout === "interleaved")
      .map(({ compression, distributed, both }) => ({
        ...{ layer: name, lost: 2 - compression - distributed, both: 1 - both },
        kind: layer.kind === "ffn" ? "feed-forwards" : "heads",
      })),
  );
  const extent = [0, 0.6];
  return {
    title: "What both together lose, against the sum of what each loses alone",
    description:
      "Points lie on the diagonal where little is lost, and below it where much is: the same rows are lost twice.",
    ...{ width: 420, height: 320 },
    layer: [
      {
        data: { values: extent.map((lost) => ({ lost, both: lost })) },
        mark: { type: "line", color: DIM, strokeDash: [4, 4] },
        encoding: { x: { field: "lost", type: "quantitative" }, y: { field: "both", type: "quantitative" } },
      },
      {
        data: { values },
        mark: { type: "point", filled: true, size: 36, opacity: 0.8, clip: true },
        encoding: {
          x: {
            field: "lost",
            type: "quantitative",
            scale: { domain: extent },
            axis: { format: "%", title: "compression alone + shards alone" },
          },
          y: {
            field: "both",
            type: "quantitative",
            scale: { domain: extent },
            axis: { format: "%", title: "both" },
          },
          color: {
            field: "kind",
            type: "nominal",
            legend: { ...KEY, symbolType: "circle", symbolSize: 60 },
            scale: { domain: ["heads", "feed-forwards"], range: [BLUE, ORANGE] },
          },
        },
      },
    ],
  };
}

function facetBy(field: string, samples: readonly Sample[]) {
  return {
    field,
    type: "nominal",
    sort: samples.map(({ name }) => name),
    header: HEADER,
  } as const;
}
