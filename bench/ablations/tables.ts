// The results as the tables of docs/ablations.md.

import { type Cell, fillPlaces, percent, significant, table } from "../markdown.ts";
import { bestWithin, copyName, find, isDistinct, type Method, type Sample, samplesOf } from "./reading.ts";
import type { Results } from "./results.ts";
import { keyOf, type Setting, shareName } from "./settings.ts";
import type { Interaction, Point } from "./study.ts";

/** Markdown by the name of its place in the document. */
export function tables(all: readonly Results[]): Record<string, string> {
  const heads = samplesOf(all, "softmax");
  const ffns = samplesOf(all, "ffn");
  return {
    runs: runs(all),
    layers: layers(heads, ffns),
    compressionHeads: compression(heads, [1, 2, 4], ({ recall }) => percent(recall.mean, 1)),
    compressionFfns: compression(
      ffns,
      [1, 1.5, 2],
      ({ recall, error }) => `${percent(recall.mean, 1)} (${short(error!.mean)})`,
    ),
    columns: columns(samplesOf(all, "softmax", true)),
    distributedHeads: distributed(heads.filter(isShownHead), [2, 8, 64], [1, 1.5, 2, 4], ({ recall }) =>
      percent(recall.mean, 1),
    ),
    distributedFfns: distributed(ffns.filter(isShownFfn), [2, 8, 16], [1, 1.5, 2], ({ recall, error }) => {
      return `${percent(recall.mean, 1)} (${short(error!.mean)})`;
    }),
    interactions: interactions([...heads.filter(isShownHead), ...ffns.filter(isShownFfn)]),
    competitorsHeads: competitors(heads, ["compression", "codes", "inputs", "shortlist"], headCell),
    competitorsFfns: competitors(
      ffns.filter(isDistinct),
      ["compression", "codes", "inputs", "gates", "shortlist"],
      ffnCell,
    ),
    whole: whole(all),
  };
}

/** Puts each table between the comments that name its place. */
export function withTables(document: string, all: readonly Results[]): string {
  return fillPlaces(document, tables(all));
}

/** The layers of long tables; the results have all. */
function isShownHead({ name }: Sample): boolean {
  return name === "tiny-lm" || name.startsWith("8b");
}

function isShownFfn({ name }: Sample): boolean {
  return name === "tiny-lm mlp1" || name.startsWith("8b");
}

function runs(all: readonly Results[]): string {
  return table(
    "command | date | machine | versions | time | peak memory",
    all.map(({ command, date, machine, versions, seconds, peakBytes }) => [
      `\`${command}\``,
      date,
      machine,
      `hirec ${versions.hirec}, Node ${versions.node}, ${versions.products}`,
      `${seconds} s`,
      `${significant(peakBytes / 1e9, 2)} GB`,
    ]),
  );
}

function layers(heads: readonly Sample[], ffns: readonly Sample[]): string {
  return table(
    "layer | shape | k of | dense | tokens | k-th best above the mean | from",
    [...heads, ...ffns].map(({ name, layer, part }) => {
      const { rows, inputs, kind, k, choices, denseBytes, parts } = layer;
      const { from, to, kthInDeviations } = parts.find((each) => each.name === part)!;
      return [
        `${kind === "softmax" ? "head" : "feed-forward"} of ${name}`,
        kind === "softmax" ? `${rows} × ${inputs}` : `${inputs} → ${rows} → ${inputs}`,
        kind === "softmax" ? `${k} of ${choices} rows` : `${k} of ${choices} groups`,
        megabytes(denseBytes),
        to - from,
        `${kthInDeviations.toFixed(1)} deviations`,
        layer.source,
      ];
    }),
  );
}

function compression(samples: readonly Sample[], times: readonly number[], cell: (point: Point) => string): string {
  const copies = copiesOf(samples);
  return table(
    `copy | ${samples.map(({ name }) => name).join(" | ")}`,
    copies.map((copy) => [
      copy,
      ...samples.map((sample) => {
        const cells = times.map((each) => {
          const candidates = Math.ceil(each * sample.layer.k);
          const holds = (setting: Extract<Setting, { method: "compression" }>) =>
            setting.candidates === candidates && copyName(setting.estimator, sample.layer) === copy;
          return find(sample, "compression", holds);
        });
        return cells.every((each) => each === undefined)
          ? ""
          : `${cells.map((each) => cell(each!)).join(", ")}; ${bytesShare(sample, cells.at(-1)!)}`;
      }),
    ]),
  );
}

/** Copies of all samples, bits before ranks. */
function copiesOf(samples: readonly Sample[]): string[] {
  const names = samples.flatMap(({ layer, points }) =>
    points.flatMap(({ setting }) => (setting.method === "compression" ? [copyName(setting.estimator, layer)] : [])),
  );
  return [...new Set(names)].sort((a, b) => Number(a.includes("rank")) - Number(b.includes("rank")));
}

/** Recall on columns that fall by other powers, for the same shape. */
function columns(variants: readonly Sample[]): string {
  const even = variants.filter(({ part }) => part === "even");
  const decay = ({ layer }: Sample) => Number(layer.layer.split(" ").at(-1));
  const sorted = even.sort((a, b) => decay(a) - decay(b));
  const shown = ["2 bits", "4 bits", ...copiesOf(sorted).filter((name) => name.startsWith("rank"))];
  return table(
    `copy, k′ = 4 k | ${sorted.map((sample) => `columns fall by ${decay(sample)}`).join(" | ")}`,
    shown.map((copy) => [
      copy,
      ...sorted.map((sample) => {
        const point = find(sample, "compression", ({ estimator, candidates }) => {
          return candidates === 4 * sample.layer.k && copyName(estimator, sample.layer) === copy;
        })!;
        return atLeast(point.recall);
      }),
    ]),
  );
}

function distributed(
  samples: readonly Sample[],
  shards: readonly number[],
  slacks: readonly number[],
  cell: (point: Point) => string,
): string {
  return table(
    `shards | slack | ${samples.map(({ name }) => `${name}: predicted | interleaved | contiguous`).join(" | ")}`,
    shards.flatMap((count) =>
      slacks.map((slack) => [
        count,
        slack,
        ...samples.flatMap((sample): Cell[] => {
          const [interleaved, contiguous] = (["interleaved", "contiguous"] as const).map((layout) =>
            find(sample, "distributed", ({ spread }) => keyOf(spread) === keyOf({ shards: count, layout, slack })),
          );
          if (!interleaved || !contiguous) return ["", "", ""];
          return [percent(interleaved.predicted!, 1), cell(interleaved), cell(contiguous)];
        }),
      ]),
    ),
  );
}

function interactions(samples: readonly Sample[]): string {
  const isShown = ({ estimator, spread }: Interaction) =>
    estimator.kind === "quantized" && estimator.bits === 2 && spread.shards === 8 && spread.layout === "interleaved";
  return table(
    "layer | slack | compression alone | distributed alone | if losses added up | product | both | both against the sum",
    samples.flatMap(({ name, layer, part }) =>
      layer.interactions
        .filter((each) => each.part === part && isShown(each))
        .map(({ spread, compression, distributed, both, interaction }) => [
          name,
          spread.slack,
          ...[compression, distributed, compression + distributed - 1, compression * distributed, both].map((share) =>
            percent(share, 1),
          ),
          `${points(interaction.mean)} ± ${(100 * interaction.half).toFixed(1)}`,
        ]),
    ),
  );
}

/** Shares of the dense bytes that methods are given. */
const BUDGETS = [0.15, 0.3, 0.5];

function competitors(samples: readonly Sample[], methods: readonly Method[], cell: (point: Point) => string): string {
  return table(
    `layer | of the dense bytes, at most | ${methods.map((method) => METHODS[method]).join(" | ")}`,
    samples.flatMap((sample) =>
      BUDGETS.map((budget) => [
        sample.name,
        percent(budget, 0),
        ...methods.map((method) => {
          const point = bestWithin(sample, method, budget * sample.layer.denseBytes);
          return point ? `${cell(point)}; ${settingName(point.setting, sample)}, ${bytesShare(sample, point)}` : "—";
        }),
      ]),
    ),
  );
}

export const METHODS: Readonly<Record<Method, string>> = {
  compression: "recomputed (HiRE)",
  distributed: "shards, exact scores",
  both: "both",
  codes: "codes alone",
  inputs: "threshold on inputs",
  gates: "threshold on gates",
  shortlist: "static shortlist",
};

function headCell({ recall, agreement, divergence }: Point): string {
  return `**${percent(recall.mean, 1)}**, ${percent(agreement.mean, 1)}, ${short(divergence!.mean)}`;
}

function ffnCell({ recall, error }: Point): string {
  return `**${short(error!.mean)}** ± ${short(error!.half)}, ${percent(recall.mean, 1)}`;
}

function settingName(setting: Setting, { layer }: Sample): string {
  switch (setting.method) {
    case "compression":
      return `${copyName(setting.estimator, layer)}, k′ ${setting.candidates}`;
    case "codes":
      return copyName(setting.estimator, layer);
    case "shortlist":
    case "inputs":
    case "gates":
      return shareName(setting.share);
    default:
      return `${setting.spread.shards} shards`;
  }
}

function whole(all: readonly Results[]): string {
  return table(
    "layers that are not exact | perplexity | change | likeliest token as the exact model's | KB per token",
    all
      .flatMap(({ whole }) => whole)
      .map(({ name, perplexity, change, agreement, bytes }) => [
        name === "exact" ? "none" : name,
        perplexity.toFixed(3),
        name === "exact" ? "" : `${signed(100 * (Math.exp(change.mean) - 1), 2)} % ± ${(100 * change.half).toFixed(2)}`,
        name === "exact" ? "" : `${percent(agreement.mean, 1)} ± ${(100 * agreement.half).toFixed(1)}`,
        significant(bytes / 1000, 3),
      ]),
  );
}

function atLeast({ mean, least }: Point["recall"]): string {
  return `${percent(mean, 1)} (≥ ${percent(least, 1)})`;
}

function bytesShare({ layer }: Sample, { bytes }: Point): string {
  return `${((100 * bytes) / layer.denseBytes).toFixed(0)} % read`;
}

function points(share: number): string {
  return `${signed(100 * share, 1)} points`;
}

/** With a sign that is a minus, and none for what rounds to 0. */
function signed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : `${value < 0 ? "−" : "+"}${text}`;
}

function short(value: number): string {
  return Math.abs(value).toFixed(Math.abs(value) < 0.0995 ? 3 : 2);
}

function megabytes(bytes: number): string {
  return `${significant(bytes / 1e6, 3)} MB`;
}
