// The whole of tiny-lm through compiled layers: perplexity on held-out text, recall of every layer, and bytes per token,
// for several settings. Usage: npm run study [-- POSITIONS [RESULT]]; the numbers of docs/tiny-lm.md are this program's. With a
// result of `hirec calibrate --out`, for what it proposes instead.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  defineModel,
  dense,
  type Estimator,
  exact,
  ffn,
  type Layer,
  lowRank,
  type Model,
  quantized,
  type Selector,
  softmax,
  statistical,
  twoStage,
} from "hirec";
import { type Calibration, compileModel } from "hirec/compiler";
import {
  createReferenceSoftmax,
  type GpuModel,
  loadModel,
  type ReferenceSoftmax,
  type SoftmaxPlan,
} from "hirec/runtime";
import { openPack, packModel, requestNodeDevice } from "hirec/runtime/node";
import type { Decoder, FeedForward } from "./decoder.ts";
import { exactGroups, exactLogProbability, exactRows } from "./exact.ts";
import { type HeldOut, heldOut } from "./held-out.ts";
import { loadDecoder, loadWeights } from "./load.ts";
import { recordActivations } from "./record-activations.ts";
import tinyLm from "./tiny-lm.hire.ts";

interface Setting {
  readonly name: string;
  readonly head: Estimator;
  readonly mlp: Estimator;
  /** Groups of a feed-forward that are computed exactly; its k is 16. */
  readonly candidates: number;
  /** What a calibration proposes, by layer. */
  readonly proposed?: ReadonlyMap<string, Proposed>;
}

interface Proposed {
  readonly estimator: Estimator;
  readonly candidates: number;
  readonly select: Selector;
}

function settings(): Setting[] {
  const of = (name: string, head: Estimator, mlp: Estimator, candidates: number): Setting => ({
    ...{ name, head, mlp, candidates },
  });
  const bits = (bits: 2 | 3 | 4 | 5 | 6 | 8, candidates = 24) =>
    of(`int${bits}, ${candidates} groups`, quantized({ bits }), quantized({ bits }), candidates);
  const rank = (head: number, mlp: number, candidates = 24) => {
    const factors = (rank: number) => lowRank({ rank, bits: 8, basis: "activations" });
    return of(`rank ${head} and ${mlp}, ${candidates} groups`, factors(head), factors(mlp), candidates);
  };
  return [
    of("dense()", dense(), dense(), 16),
    bits(8),
    bits(4),
    bits(4, 20),
    bits(3),
    bits(2),
    bits(2, 32),
    rank(64, 48),
    rank(64, 48, 32),
  ];
}

/** The proposals of a result of `hirec calibrate`. */
async function calibrated(file: string): Promise<Setting[]> {
  const { layers } = JSON.parse(await readFile(file, "utf8")) as Calibration;
  const builders = { quantized, lowRank, twoStage, exact, statistical } as Record<string, (options: object) => unknown>;
  const built = <Value>({ kind, ...options }: { readonly kind: string }) => builders[kind]!(options) as Value;
  const proposed = new Map<string, Proposed>();
  for (const { layer, settings, proposal } of layers) {
    if (proposal === undefined) continue;
    const { estimator, candidates, select } = settings[proposal]!;
    proposed.set(layer, { estimator: built(estimator), candidates, select: built(select) });
  }
  return [{ name: "calibrated", head: dense(), mlp: dense(), candidates: 16, proposed }];
}

/** The spec with other estimators, and a head that says how likely its rows are. */
function modelOf({ head, mlp, candidates, proposed }: Setting): Model {
  const changed = (name: string, layer: Layer): Layer => {
    const own = proposed?.get(name);
    if (own && layer.kind === "softmax")
      return softmax({ ...layer.options, ...own, logSumExp: true, tail: "estimate" });
    if (own && layer.kind === "ffn") return ffn({ ...layer.options, ...own });
    if (layer.kind === "softmax") {
      const { candidates: _, select: __, ...options } = layer.options;
      return softmax({
        ...options,
        estimator: head,
        logSumExp: true,
        tail: "estimate",
        ...(head.kind !== "dense" && { candidates: 128 }),
      });
    }
    const { candidates: _, ...options } = layer.options;
    return ffn({ ...options, estimator: mlp, ...(mlp.kind !== "dense" && { candidates }) });
  };
  const layers = Object.entries(tinyLm.options.layers).map(([name, layer]) => [name, changed(name, layer)]);
  return defineModel("tiny-lm", Object.fromEntries(layers));
}

const folder = fileURLToPath(new URL(".", import.meta.url));
const positions = Number(process.argv[2] ?? 512);
const result = process.argv[3];
const temporary = await mkdtemp(join(tmpdir(), "hirec-study-"));
try {
  await study();
} finally {
  await rm(temporary, { recursive: true });
}
// Dawn would keep the process alive.
process.exit();

async function study(): Promise<void> {
  const weights = await loadWeights(folder);
  const decoder = await loadDecoder(folder);
  const held = await heldOut(folder, positions, decoder);
  const activations = join(temporary, "activations.safetensors");
  // Of other windows than those that are measured.
  await recordActivations(folder, 512, activations, 1);
  const device = await requestNodeDevice();
  console.log(`${positions} held-out positions on ${device.description}\n`);
  console.log(
    ["setting", "perplexity", "change", "head", "mlp0", "mlp1", "mlp2", "KB/token", "fewer"]
      .map((title, i) => (i === 0 ? title.padEnd(26) : title.padStart(10)))
      .join(""),
  );
  const rowOf = (x: Float32Array, i: number) =>
    x.subarray(i * decoder.embedding.inputs, (i + 1) * decoder.embedding.inputs);
  let loss = 0;
  held.next.forEach((token, i) => {
    loss -= exactLogProbability(weights, rowOf(held.inputs, i), token);
  });
  const exactLoss = loss / positions;
  console.log(`${"exact".padEnd(26)}${Math.exp(exactLoss).toFixed(3).padStart(10)}`);

  for (const setting of result === undefined ? settings() : await calibrated(result)) {
    const { plan, files } = compileModel(modelOf(setting));
    const path = join(temporary, `${setting.name.replaceAll(/\W/g, "-")}.pack`);
    await packModel(plan, [join(folder, "model.safetensors")], path, { activations: [activations] });
    const pack = await openPack(path, plan);
    const model = await loadModel(device.device, { plan, sources: Object.fromEntries(files) }, pack.weights);
    const { head } = plan.layers;
    const reference = await createReferenceSoftmax("head", head as SoftmaxPlan, pack.weights);
    const measured = await measure(model, reference, held, weights);
    model.destroy();
    await pack.close();
    const read = Object.values(plan.layers).reduce((sum, { bytes }) => sum + bytes.score + bytes.rescore, 0);
    const all = Object.values(plan.layers).reduce((sum, { bytes }) => sum + bytes.dense, 0);
    const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
    const columns = [
      Math.exp(measured.loss).toFixed(3),
      `${(100 * (Math.exp(measured.loss - exactLoss) - 1)).toFixed(2)} %`,
      ...["head", "mlp0", "mlp1", "mlp2"].map((layer) => percent(measured.recall[layer]!)),
      (read / 1000).toFixed(0),
      `${(all / read).toFixed(2)}×`,
    ];
    console.log(`${setting.name.padEnd(26)}${columns.map((column) => column.padStart(10)).join("")}`);
  }
  device.close();
}

interface Result {
  /** Mean of -log p(next), in nats. */
  readonly loss: number;
  /** Share of the exact top k that each layer took, on the inputs that it was given. */
  readonly recall: Readonly<Record<string, number>>;
}

async function measure(
  model: GpuModel,
  reference: ReferenceSoftmax,
  { tokens, next }: HeldOut,
  weights: Awaited<ReturnType<typeof loadWeights>>,
): Promise<Result> {
  const { config } = weights;
  const inputs = config.hidden_size;
  const shares: Record<string, number> = {};
  const count = (layer: string, exact: readonly number[], found: Uint32Array) => {
    const taken = new Set(found);
    shares[layer] = (shares[layer] ?? 0) + exact.filter((each) => taken.has(each)).length / exact.length;
  };
  const choices = weights.layers.map((layer) => exactGroups(config, layer));
  const feedForwards: FeedForward = async (layer, x) => {
    const name = `mlp${layer}`;
    const ffn = model.ffn(name);
    const { output, groups } = await ffn.run(x);
    for (let i = 0; i < x.length / inputs; i++) {
      const best = choices[layer]!(x.subarray(i * inputs, (i + 1) * inputs), ffn.plan.k);
      count(name, best, groups.subarray(i * ffn.plan.k, (i + 1) * ffn.plan.k));
    }
    return output;
  };
  const decoder: Decoder = await loadDecoder(folder, feedForwards);
  const head = model.softmax("head");
  const { k } = head.plan;
  const unreturned = (x: Float32Array, row: number) => {
    const { candidates, estimates } = reference.select(x);
    return candidates.includes(row) ? reference.exactScores(x)[row]! : estimates[row]!;
  };
  const bestRows = exactRows(weights);
  let loss = 0;
  for (let begin = 0; begin < tokens.length; begin += decoder.context) {
    const x = await decoder.hidden(tokens.subarray(begin, begin + decoder.context));
    const { indices, values, lse } = await head.run(x);
    for (let i = 0; i < x.length / inputs; i++) {
      const one = x.subarray(i * inputs, (i + 1) * inputs);
      const found = indices.subarray(i * k, (i + 1) * k);
      count("head", bestRows(one, k), found);
      const token = next[begin + i]!;
      const rank = found.indexOf(token);
      // What is no candidate counts as much as it is estimated to, in the log-sum-exp too.
      const value = rank < 0 ? unreturned(one, token) : values[i * k + rank]!;
      loss -= value - lse![i]!;
    }
  }
  const mean = Object.entries(shares).map(([layer, sum]) => [layer, sum / tokens.length]);
  return { loss: loss / tokens.length, recall: Object.fromEntries(mean) };
}
