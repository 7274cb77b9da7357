// Pass 4. Stages become kernels, by these rules:
//
// 1. `score` and the `select` of its rows share a kernel, always: that is what keeps scores out of device memory.
// 2. `quantize` joins them when the codes of the whole batch fit into half of a workgroup's memory (the other half is for
//    selection); every workgroup then quantizes the tokens again, which costs less than a launch; for tensor cores, which
//    take larger batches, only where it does. Otherwise it is a kernel of its own, and the codes are read through the cache.
//    So is `project` always, one workgroup per row of the basis.
// 3. Everything behind the survivors shares one kernel with one workgroup per token: a few thousand survivors are too
//    little work to split, and WGSL has no order between workgroups that a later stage could rely on. CUDA has, by which
//    several blocks share the exact rows.
// 4. Unless the exact weights exceed one binding of the profile: then `rescore` is a kernel of its own, launched once per
//    slice of rows, between one that selects and one that ranks.
// 5. `certify` joins whatever ranks. The three parts of a fallback are kernels of their own: which tokens it is for is
//    known only then, and all rows are enough work for all workgroups.
// 6. In a feed-forward, one kernel per token selects the candidates; `gather` takes everything that is done with a group's
//    neurons, whose rows lie in one bundle that is read once: exact gate, activation, up, product, and the part of the
//    result. Which candidates are the top k is known only when all have their exact scores, so `topk` joins `reduce`,
//    which adds up the parts of the k best: bundles of the other candidates were read in vain, but nothing waits.
// 7. `sample` leaves the last kernel when that would bind more buffers than the profile allows, or when a fallback may
//    change the results. It reads k values, so that all it costs is the launch.
// 8. What a shard does by itself is fused as a layer of its own, up to what it sends. Behind the exchange of a head come
//    `merge` and `sample`, each a kernel; of a feed-forward nothing, since engines add up while they exchange.

import type { Stage } from "./lower.ts";
import type { CheckedLayer, CheckedScored } from "./model.ts";
import { exactRowBytes, paddedInputs } from "./padding.ts";
import { budgetOf, type Profile } from "./profiles.ts";
import { MULTIPROCESSORS } from "./schedule/kernel.ts";
import { checkedView } from "./scored-view.ts";
import { usesTensorCores } from "./tensor-cores.ts";
import { bucketsOf } from "./tile.ts";

export type FusedKernel =
  | { readonly template: "project"; readonly stages: readonly Stage[] }
  | { readonly template: "quantize"; readonly stages: readonly Stage[] }
  | { readonly template: "score_select"; readonly stages: readonly Stage[] }
  | { readonly template: "rescore_topk"; readonly stages: readonly Stage[] }
  | { readonly template: "sample"; readonly stages: readonly Stage[] }
  | { readonly template: "merge"; readonly stages: readonly Stage[] }
  | { readonly template: "fallback_plan"; readonly stages: readonly Stage[] }
  | { readonly template: "fallback_score"; readonly stages: readonly Stage[] }
  | { readonly template: "gather"; readonly stages: readonly Stage[] }
  | { readonly template: "reduce"; readonly stages: readonly Stage[] };

/** The last part selects among what the second left as `rescore_topk` does among survivors. */
const FALLBACK_TEMPLATES = { plan: "fallback_plan", score: "fallback_score", topk: "rescore_topk" } as const;

/**
 * Codes of tokens that a multiprocessor makes in 4 µs, which is what a launch takes at most: each costs 42 instructions
 * (counted in what nvcc 13.0 makes for sm_90), for 32 lanes at a time, on 4 schedulers at 1.75 GHz.
 */
const CODES_PER_LAUNCH = 21_000;

export function fuse(stages: readonly Stage[], layer: CheckedLayer, profile: Profile): readonly FusedKernel[] {
  const project = stages.filter(({ op }) => op === "project");
  const quantize = stages.filter(({ op }) => op === "quantize");
  const firstOfSurvivors = stages.findIndex((stage) => stage.op === "select" && stage.from === "survivors");
  const scoring = stages.slice(project.length + quantize.length, firstOfSurvivors);
  const scored: FusedKernel[] =
    quantize.length === 0 || quantizesInBlocks(layer, profile)
      ? [{ template: "score_select", stages: [...quantize, ...scoring] }]
      : [
          { template: "quantize", stages: quantize },
          { template: "score_select", stages: scoring },
        ];
  const front: FusedKernel[] = [
    ...(project.length > 0 ? [{ template: "project", stages: project } as const] : []),
    ...scored,
  ];
  const back = stages.slice(firstOfSurvivors).filter(({ op }) => op !== "fallback");
  const fallback = stages.flatMap((stage): FusedKernel[] =>
    stage.op === "fallback" ? [{ template: FALLBACK_TEMPLATES[stage.part], stages: [stage] }] : [],
  );
  if (layer.kind === "ffn") {
    const [select, gather, ...reduce] = back;
    return [
      ...front,
      { template: "rescore_topk", stages: [select!] },
      { template: "gather", stages: [gather!] },
      { template: "reduce", stages: reduce },
    ];
  }
  const rescoreSliced =
    back.some(({ op }) => op === "rescore") && layer.rows * exactRowBytes(layer) > budgetOf(profile).bindingBytes;
  const last = back.findIndex(({ op }) => op === "topk");
  const groups = rescoreSliced ? [...back.slice(0, last).map((stage) => [stage]), back.slice(last)] : [back];
  const tooMany = !rescoreSliced && storageBuffers(layer, profile) > budgetOf(profile).bindings;
  const apart = tooMany || fallback.length > 0;
  const sample = back.filter(({ op }) => op === "sample");
  const isOfLast = ({ op }: Stage) => op !== "sample" || !apart;
  return [
    ...front,
    ...groups.map((group): FusedKernel => ({ template: "rescore_topk", stages: group.filter(isOfLast) })),
    ...fallback,
    ...(apart && sample.length > 0 ? [{ template: "sample" as const, stages: sample }] : []),
  ];
}

/** What is done when all shards have sent. */
export function fuseMerge(layer: CheckedLayer): readonly FusedKernel[] {
  if (layer.kind !== "softmax") return [];
  return [
    { template: "merge", stages: [{ op: "merge" }] },
    ...(layer.options.sampler ? [{ template: "sample" as const, stages: [{ op: "sample" as const }] }] : []),
  ];
}

/** Whether every workgroup that scores quantizes the tokens for itself. */
function quantizesInBlocks(layer: CheckedLayer, profile: Profile): boolean {
  const view = checkedView(layer);
  const codes = layer.batch * paddedInputs(view);
  if (codes > budgetOf(profile).workgroupBytes / 2) return false;
  // Without tensor cores codes are read one step at a time from device memory, which costs more than to repeat them.
  if (!usesTensorCores(view, profile)) return true;
  return Math.ceil(bucketsOf(layer) / MULTIPROCESSORS) * codes <= CODES_PER_LAUNCH;
}

/** Storage buffers of the kernel that does everything behind the survivors. */
function storageBuffers({ estimator, candidates, certify, options }: CheckedScored, profile: Profile): number {
  const has = (...conditions: readonly unknown[]) => conditions.filter(Boolean).length;
  const { bias, logSumExp, sampler } = options;
  const rescores = estimator.kind !== "dense";
  const survivorsAndResults = 3;
  const tokensAndRows = rescores ? 2 + has(bias) : 0;
  // Candidates that might not fit into workgroup memory beside the rest of it count as a buffer.
  const beside = 6 * 1024;
  const chosen = has(candidates * 8 + beside > budgetOf(profile).workgroupBytes);
  const sampling = has(sampler) + has(sampler === "multinomial");
  return survivorsAndResults + tokensAndRows + chosen + has(logSumExp, certify !== "off") + sampling;
}
