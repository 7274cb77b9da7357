// Layers over the whole language, drawn at random, as fast-check arbitraries: each is one that the compiler must accept.

import fc from "fast-check";
import {
  dense,
  type Estimator,
  exact,
  type FfnOptions,
  greedy,
  lowRank,
  multinomial,
  quantized,
  type SoftmaxOptions,
  statistical,
  type TwoStageOptions,
  twoStage,
} from "../../dsl/index.ts";
import { ACTIVATIONS } from "./scalar-cases.ts";

/** How large layers get. */
export interface Sizes {
  readonly inputs: number;
  readonly rows: fc.Arbitrary<number>;
  /** Of candidates, where there are as many rows or groups. */
  readonly candidates: number;
}

/** Evenly; fc.double draws evenly among the floats, most of which are next to nothing. */
const between = (low: number, high: number) =>
  fc.integer({ min: 0, max: 1000 }).map((thousandths) => low + (thousandths / 1000) * (high - low));
const share = between(0, 1);

/** The whole number from `low` to `high` that lies so far between them. */
function whole(share: number, low: number, high: number): number {
  return low + Math.min(Math.floor(share * (high - low + 1)), high - low);
}

const quantizing = fc
  .record(
    {
      bits: fc.constantFrom(2, 3, 4, 5, 6, 8),
      group: fc.constantFrom(32 as const, 64 as const, 128 as const, "row" as const),
      activations: fc.constantFrom("int8", "f32"),
    },
    { requiredKeys: ["bits"] },
  )
  .map((options) => (): Estimator => quantized(options));

const narrowing = fc
  .record(
    {
      bits: fc.constantFrom(4, 8, 16),
      rank: share,
      basis: fc.constantFrom("weights", "activations"),
      activations: fc.constantFrom("int8", "f32"),
    },
    { requiredKeys: ["bits", "rank"] },
  )
  .map(({ rank, activations, ...format }) => (largest: number): Estimator => {
    // Factors of 16 bits are floats, so nothing is to be said about the tokens.
    const given = format.bits === 16 || activations === undefined ? {} : { activations };
    return lowRank({ ...format, rank: whole(rank ** 2, 1, largest), ...given });
  });

/** An estimator of a matrix, given the largest rank that it may have. */
const estimator: fc.Arbitrary<(largest: number) => Estimator> = fc.oneof(
  { weight: 3, arbitrary: quantizing },
  { weight: 2, arbitrary: narrowing },
  { weight: 1, arbitrary: fc.constant(() => dense()) },
);

const common = {
  dtype: fc.constantFrom("f32", "f16", "bf16"),
  select: fc.oneof(
    fc.constant(exact()),
    between(0.01, 1).map((recall) => twoStage({ recall })),
  ),
  batch: fc.integer({ min: 1, max: 16 }),
  crossover: fc.constantFrom("dense", "ignore"),
} as const;

/** By a threshold, given the candidates and what they are chosen from. */
const threshold = fc.oneof(
  { weight: 4, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constant(() => statistical()) },
  {
    weight: 1,
    arbitrary: share.map((s) => (candidates: number, choices: number) => {
      return statistical({ expected: whole(s ** 2, candidates, choices) });
    }),
  },
);

/** Those that decrease nowhere and are a number everywhere. */
const transforms = ["softcap 30", "clamp", "leaky relu", "hard tanh by if", "selu"].map((name) => ACTIVATIONS[name]!);

/** What a head may do besides; a tail and a share of `k` are drawn in any case, and used where they mean something. */
const besides = fc.record(
  {
    bias: fc.constant("bias"),
    mask: fc.boolean(),
    transform: fc.constantFrom(...transforms),
    temperature: between(0.05, 20),
    logSumExp: fc.boolean(),
    tail: fc.constantFrom("drop", "estimate"),
    sample: fc.oneof(fc.constant(undefined), fc.record({ topK: share, topP: between(0.01, 1) }, { requiredKeys: [] })),
  },
  { requiredKeys: [] },
);

type Besides = typeof besides extends fc.Arbitrary<infer Value> ? Value : never;

function optionsOf({ tail, sample, ...options }: Besides, isSampled: boolean, k: number): Partial<SoftmaxOptions> {
  const { topK, topP } = sample ?? {};
  const drawing = { ...(topK !== undefined && { topK: whole(topK, 1, k) }), ...(topP !== undefined && { topP }) };
  return {
    ...options,
    ...(options.logSumExp && tail && { tail }),
    ...(isSampled && { sample: sample ? multinomial(drawing) : greedy() }),
  };
}

/** Those that go with a certificate. */
function provable({ bias, tail, logSumExp, ...options }: Partial<SoftmaxOptions>, certify: "report" | "fallback") {
  return { ...options, ...(certify === "report" && logSumExp !== undefined && { logSumExp }), certify };
}

/** Output heads. */
export function heads({ inputs, rows, candidates: most }: Sizes): fc.Arbitrary<SoftmaxOptions> {
  const required = {
    inputs: fc.integer({ min: 1, max: inputs }),
    rows,
    ...{ k: share, candidates: share, estimator, certify: fc.constantFrom("off", "off", "off", "report", "fallback") },
    besides: fc.option(besides, { nil: undefined }),
    threshold,
  } as const;
  return fc
    .record({ ...required, ...common, hasDefaults: fc.boolean() }, { requiredKeys: Object.keys(required) as never })
    .map(
      ({
        k: ofCandidates,
        candidates,
        estimator,
        certify,
        besides,
        threshold,
        hasDefaults,
        ...shape
      }): SoftmaxOptions => {
        const count = whole(candidates ** 3, 1, Math.min(shape.rows, most));
        const k = whole(ofCandidates, 1, count);
        const built = estimator(Math.min(shape.inputs, shape.rows));
        const isDense = built.kind === "dense";
        const isProvable = isDense
          ? shape.select?.kind === "twoStage" && certify === "report"
          : built.kind === "quantized";
        const options = besides ? optionsOf(besides, "sample" in besides, k) : {};
        const isCertified = isProvable && certify !== "off";
        const taken = isDense ? k : hasDefaults ? Math.min(4 * k, shape.rows) : count;
        return {
          ...{ ...shape, weight: "w", estimator: built, k },
          ...(!isDense && !hasDefaults && { candidates: count }),
          ...(isCertified ? provable(options, certify) : options),
          ...(threshold && !isCertified && { select: threshold(taken, shape.rows) }),
        };
      },
    );
}

const terms = [(z: number) => Math.abs(z), (z: number) => Math.max(z, 0) ** 2, (z: number) => 30 * Math.tanh(z / 30)];
const score = fc.oneof(fc.constantFrom("max", "sum", "l2"), fc.constantFrom(...terms));

/** Feed-forwards; `rows` are neurons. */
export function feedForwards({ inputs, rows, candidates: most }: Sizes): fc.Arbitrary<FfnOptions> {
  const required = {
    inputs: fc.integer({ min: 1, max: inputs }),
    hidden: rows,
    ...{ k: share, candidates: share, front: fc.oneof(fc.constant(0), share), estimator },
    activation: fc.constantFrom(...Object.values(ACTIVATIONS)),
    ...{ isShare: fc.boolean(), hasDefaults: fc.boolean(), threshold },
    added: fc.subarray(["gate", "up", "down"] as const),
  } as const;
  const optional = {
    outputs: fc.integer({ min: 1, max: inputs }),
    gated: fc.boolean(),
    group: fc.record({ size: fc.integer({ min: 1, max: 64 }), score }, { requiredKeys: [] }),
  };
  return fc
    .record({ ...required, ...optional, ...common }, { requiredKeys: Object.keys(required) as never })
    .map(({ k, candidates, front, estimator, isShare, hasDefaults, threshold, added, ...shape }): FfnOptions => {
      const groups = Math.ceil(shape.hidden / (shape.group?.size ?? 8));
      const common = whole(front ** 3, 0, groups - 1);
      const count = whole(candidates, 1, Math.min(groups - common, most));
      const chosen = whole(k, 1, count);
      const built = estimator(Math.min(shape.inputs, shape.hidden));
      // A share that is rounded up to so many groups.
      const counted = (number: number) => (isShare ? (number - 0.5) / groups : number);
      const selectable = groups - common;
      const taken = built.kind === "dense" ? chosen : hasDefaults ? Math.min(2 * chosen, selectable) : count;
      const biased = added.filter((of) => of !== "gate" || shape.gated !== false);
      return {
        ...{ ...shape, estimator: built, k: counted(chosen) },
        ...(biased.length > 0 && { bias: Object.fromEntries(biased.map((of) => [of, `${of}.bias`])) }),
        ...(threshold && { select: threshold(taken, selectable) }),
        weights: { up: "up", down: "down", ...(shape.gated !== false && { gate: "gate" }) },
        ...(built.kind !== "dense" && !hasDefaults && { candidates: counted(count) }),
        ...(common > 0 && { common }),
      };
    });
}

/** The recall that a layer asked for. */
export function recallOf({ estimator, select }: SoftmaxOptions | FfnOptions): number {
  // A threshold promises nothing.
  if (select?.kind === "statistical") return 0;
  if (select) return select.kind === "twoStage" ? (select.options as TwoStageOptions).recall : 1;
  return estimator.kind === "dense" ? 1 : 0.99;
}

/** A layer, or any value in one, as a spec would write it. */
export function written(value: unknown): string {
  if (typeof value === "function") return String(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const { kind, options } = value as { readonly kind?: string; readonly options?: unknown };
  if (kind !== undefined) return `${kind}(${options === undefined ? "" : written(options)})`;
  return `{ ${Object.entries(value)
    .map(([name, each]) => `${name}: ${written(each)}`)
    .join(", ")} }`;
}
