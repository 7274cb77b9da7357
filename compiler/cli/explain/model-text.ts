// An explanation as people read it, in 80 columns.

import type { LaunchPlan, ResourcesPlan } from "../../../runtime/plan.ts";
import { formatBytes } from "../../format-bytes.ts";
import type { Reads } from "../../reads.ts";
import { wordsOf } from "../../tuning/words.ts";
import type { LayerExplanation, ModelExplanation, ProgramExplanation } from "./model.ts";

export function formatModel({ model, spec, layers }: ModelExplanation): string {
  return [`${model}, from ${spec}`, ...layers.map(formatLayer)].join("\n\n");
}

function formatLayer(layer: LayerExplanation): string {
  const { batch, weightBytes, programs } = layer;
  const sections = [
    [
      `layer ${layer.layer}`,
      fact("computes", computes(layer)),
      ...layer.options.map((option, i) => fact(i === 0 ? "with" : "", option)),
      fact("estimator", estimator(layer)),
      fact("selection", selection(layer)),
      ...recall(layer),
      ...certificate(layer),
      fact("batch", batch === 1 ? "1 token per launch" : `${batch} tokens per launch, weights are read once for all`),
      ...crossover(layer),
      ...shards(layer),
      fact(
        "weights",
        `${formatBytes(weightBytes)} on ${layer.shards ? "each" : "the"} device, of which the matrix is ${denseBytes(layer)}`,
      ),
    ],
    readsTable(layer.reads),
    ...withEqualsJoined(programs).map(formatPrograms),
  ];
  return sections.map((lines) => lines.join("\n")).join("\n\n");
}

function fact(name: string, value: string): string {
  return `  ${name.padEnd(10)} ${value}`;
}

function computes({ kind, k, rows, inputs, outputs, gated, group, dtype }: LayerExplanation): string {
  if (!group) return `${kind}: the ${k} best of ${rows} rows × ${inputs} inputs, ${dtype}`;
  const { size, count, common } = group;
  const matrices = gated ? "gate, up and down" : "up and down";
  const always = common > 0 ? ` and ${common} common ones` : "";
  return `${kind}: the ${k} best of ${count} groups of ${size} neurons${always}, ${inputs} -> ${rows} -> ${outputs}, ${matrices}, ${dtype}`;
}

function crossover({ crossover, group }: LayerExplanation): string[] {
  if (!crossover) return [];
  const { batch, taken } = crossover;
  const all = group ? "neurons" : "rows";
  return [
    taken
      ? fact("crossover", `past batch ${batch}: all ${all} are scored exactly, which reads fewer bytes`)
      : fact("crossover", `from batch ${batch} on exact scores of all ${all} read fewer bytes`),
  ];
}

function shards({ shards: spread, kind, k, candidates }: LayerExplanation): string[] {
  if (!spread) return [];
  const { count, layout, keep, sent, recall, resend, largest, bytesPerToken, denseBytesPerToken } = spread;
  const what = kind === "ffn" ? "groups" : "rows";
  const first = fact("shards", `${count}, ${layout}: ${largest} ${what} each at most, of which it selects ${keep}`);
  if (kind === "ffn") {
    return [
      first,
      fact("", `${percent(recall)} of the ${k} best ${what} are selected, predicted`),
      fact("exchange", `none but the sum of the results, ${formatBytes(bytesPerToken)} per token`),
    ];
  }
  const ratio = (denseBytesPerToken / bytesPerToken).toFixed(0);
  return [
    first,
    fact("", `${percent(recall)} of the ${candidates} candidates of one device are selected, predicted`),
    fact("exchange", `${sent} rows of each, all ${k} best for ${percent(resend)} of the tokens, predicted`),
    fact(
      "",
      `${formatBytes(bytesPerToken)} per token and shard; of all scores ${formatBytes(denseBytesPerToken)}, ${ratio} times as many`,
    ),
  ];
}

function estimator({ estimator, scoredBitsPerWeight }: LayerExplanation): string {
  if (estimator.kind === "dense") return "none: every row is scored with the exact weights";
  const size = `${scoredBitsPerWeight.toFixed(2)} bits per weight`;
  if (estimator.kind === "lowRank") {
    const { rank, bits, basis, activations } = estimator;
    return `rank ${rank}, factors of ${bits} bits on a basis of the ${basis}, ${activations} tokens: ${size}`;
  }
  const { bits, group, groups, activations } = estimator;
  const scales = groups === 1 ? "a scale per row" : `a scale per ${group} inputs`;
  return `${bits} bits, ${scales}, ${activations} tokens: ${size}`;
}

function selection({ selection, candidates }: LayerExplanation): string {
  const { kind, buckets, keep, survivors } = selection;
  return `${kind}: ${buckets} buckets keep ${keep}, ${survivors} survive, ${candidates} candidates`;
}

function recall({ selection, estimator, candidates, k }: LayerExplanation): string[] {
  const { kind, recallOfCandidates, recallOfK } = selection;
  const source = kind === "statistical" ? "if scores are normally distributed" : "arXiv 2506.04165, Theorem 1";
  const what = estimator.kind === "dense" ? "scores" : "estimates";
  if (recallOfCandidates === 1) return [fact("recall", `1: none of the ${candidates} best ${what} is lost`)];
  return [
    fact("recall", `${percent(recallOfCandidates)} of the ${candidates} best ${what} survive, predicted`),
    fact("", `${percent(recallOfK)} of the ${k} best (${source})`),
  ];
}

function certificate({ certificate, candidates }: LayerExplanation): string[] {
  if (!certificate) return [];
  const { kind, relativeBound, bytesPerRow } = certificate;
  const remedy = kind === "fallback" ? "tokens without proof are recomputed exactly" : "a flag per token";
  if (relativeBound === undefined)
    return [fact("certifies", `that the buckets lose none of the ${candidates} best: ${remedy}`)];
  return [
    fact("certifies", `${remedy}; bounds take ${bytesPerRow.toFixed(1)} bytes a row`),
    fact("", `A proof takes a margin of about ${relativeBound.toFixed(3)} · ‖row‖ · ‖token‖`),
    fact("", "(bound for normally distributed weights; docs/certificates.md)"),
  ];
}

/** Rounded down: what is almost certain must not read as certain. */
export function percent(share: number): string {
  return `${(Math.floor(share * 10_000) / 100).toFixed(2)} %`;
}

function denseBytes({ reads }: LayerExplanation): string {
  return formatBytes(reads[0]!.dense);
}

function readsTable(reads: readonly Reads[]): string[] {
  const row = (cells: readonly string[]) => `  ${cells[0]!.padEnd(18)}${cells.slice(1).map(right).join("")}`.trimEnd();
  const right = (cell: string) => cell.padStart(12);
  const lines = [
    row(["bytes per launch", "scores", "exact rows", "total", "dense", "fewer"]),
    ...reads.map(({ batch, score, rescore, total, dense, ratio }) =>
      row([`at batch ${batch}`, ...[score, rescore, total, dense].map(formatBytes), `${ratio.toFixed(2)}×`]),
    ),
  ];
  const worse = reads.find(({ ratio, rescore }) => rescore > 0 && ratio <= 1);
  if (worse) lines.push(`  At batch ${worse.batch} nothing is saved: lower candidates or batch, or use dense().`);
  return lines;
}

/** Programs that differ in nothing but the profile, and so in the folders of their files, together. */
function withEqualsJoined(programs: readonly ProgramExplanation[]): ProgramExplanation[][] {
  const equal = new Map<string, ProgramExplanation[]>();
  for (const program of programs) {
    const kernels = program.kernels.map((kernel) => ({ ...kernel, file: "" }));
    const key = JSON.stringify({ ...program, kernels, profile: "" });
    equal.set(key, [...(equal.get(key) ?? []), program]);
  }
  return [...equal.values()];
}

/** What a target calls its invocations' groups, and the memory that they share. */
const WORDS = {
  wgsl: { group: "workgroup", memory: "workgroup memory" },
  cuda: { group: "block", memory: "shared memory" },
} as const;

function formatPrograms(programs: readonly ProgramExplanation[]): string[] {
  const { target, kernels, scratchBytes, inputBytes, outputBytes, tuning } = programs[0]!;
  const { group, memory } = WORDS[target];
  const count = kernels.reduce((sum, { launches }) => sum + launches.length, 0);
  const total = count === 1 ? "1 launch" : `${count} launches`;
  const io = formatBytes(inputBytes + outputBytes);
  return [
    `  ${programs.map(({ profile }) => profile).join(", ")}`,
    `  ${total}, ${formatBytes(scratchBytes)} of scratch, ${io} in and out`,
    ...(tuning ? [`  tuned: ${wordsOf(tuning)}`] : []),
    ...kernels.flatMap(({ name, stages, launches, workgroupSize, workgroupBytes, resources }) => {
      const shared = workgroupBytes === 0 ? "" : `, ${formatBytes(workgroupBytes)} of ${memory}`;
      return [
        `  ${name}`,
        `    ${stages.join(" -> ")}`,
        `    ${grids(launches, group)} × ${workgroupSize}${shared}`,
        ...(resources ? [`    ${residency(resources)}`] : []),
      ];
    }),
  ];
}

/** The least of it: a kernel that needs fewer registers than it may take leaves room for more blocks. */
function residency({ registers, residentBlocks, limitedBy, occupancy }: ResourcesPlan): string {
  const share = `${Number((occupancy * 100).toFixed(1))} %`;
  return `at most ${registers} registers, ${residentBlocks} resident by ${limitedBy}: occupancy ${share}`;
}

/** The grid of a kernel; a kernel that works on slices has a launch for each. */
function grids(launches: readonly LaunchPlan[], group: string): string {
  const [first, ...rest] = [...new Set(launches.map(({ workgroups }) => grid(workgroups, group)))];
  const shown = rest.length === 0 ? first : `up to ${first}`;
  return launches.length === 1 ? shown! : `${launches.length} slices, each ${shown}`;
}

function grid(workgroups: readonly number[], group: string): string {
  const last = workgroups.findLastIndex((extent) => extent > 1);
  const shown = workgroups.slice(0, Math.max(1, last + 1)).join(" × ");
  return shown === "1" ? `1 ${group}` : `${shown} ${group}s`;
}
