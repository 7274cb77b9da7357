// Two decoders side by side, token by token: one through the layers of the spec, one through their dense twins.

import { randomWords } from "../../compiler/tune/random-layer.ts";
import { createDecoder, type FeedForward, type Session } from "../../examples/tiny-lm/decoder.ts";
import { type ExactChoice, exactGroups, exactRows } from "../../examples/tiny-lm/exact.ts";
import type { SoftmaxResult } from "../../runtime/layer.ts";
import type { SoftmaxPlan } from "../../runtime/plan.ts";
import { drawnRank } from "../../runtime/reference/sampling.ts";
import type { GpuModel } from "../../runtime/webgpu/model.ts";
import type { OnProgress } from "../worker/serve.ts";
import type { TinyLm } from "./load.ts";
import type { BeginOptions, Begun, Both, Step } from "./tasks.ts";

export interface Decoding {
  readonly begun: Begun;
  step(): Promise<Step>;
}

/** What ends a verse, and so begins a text. */
const BEGINNING = "\n";

export async function beginDecoding(
  { models, weights, tokenizer }: TinyLm,
  { prompt, follow, draw }: BeginOptions,
  onProgress: OnProgress,
): Promise<Decoding> {
  const groups = weights.layers.map((layer) => exactGroups(weights.config, layer));
  const bestRows = exactRows(weights);
  const taken: number[] = [];
  const hire = column(models.hire, (model) => async (layer, x) => {
    const { plan, run } = model.ffn(`mlp${layer}`);
    const result = await run(x);
    const { inputs, k } = plan;
    for (let token = 0; token < x.length / inputs; token++) {
      const own = x.subarray(token * inputs, (token + 1) * inputs);
      taken.push(recall(groups[layer]!, own, result.groups.subarray(token * k, (token + 1) * k)));
    }
    return result.output;
  });
  const exact = column(models.exact, (model) => async (layer, x) => (await model.ffn(`mlp${layer}`).run(x)).output);
  function column(model: GpuModel, feedForwards: (model: GpuModel) => FeedForward) {
    const decoder = createDecoder(weights, feedForwards(model));
    return { head: model.softmax("head"), session: decoder.session(), context: decoder.context };
  }

  const encoded = tokenizer.encode(prompt || BEGINNING);
  // What came before would be out of sight when the prompt ends.
  const visible = encoded.slice(-hire.context);
  const texts = { hire: [...visible], exact: [...visible] };
  let x: Both<Float32Array> | undefined;
  for (const [position, token] of visible.entries()) {
    onProgress({ label: "Reading the prompt", share: position / visible.length });
    x = { hire: await hire.session.push(token), exact: await exact.session.push(token) };
  }
  const choose = chooser(draw);

  const step = async (): Promise<Step> => {
    const inputs = x!;
    const chance = choose.next();
    const time = stopwatch();
    const hireResult = await hire.head.run(inputs.hire);
    const hireTime = time();
    const exactResult = await exact.head.run(inputs.exact);
    const exactTime = time();
    const token = {
      hire: choose.from(hire.head.plan, hireResult, chance),
      exact: choose.from(exact.head.plan, exactResult, chance),
    };
    const head = recall(bestRows, inputs.hire, hireResult.indices);
    const piece = {
      hire: pieceOf(tokenizer.decode, texts.hire, token.hire),
      exact: pieceOf(tokenizer.decode, texts.exact, token.exact),
    };
    const next = follow === "own" ? token : { hire: token.exact, exact: token.exact };
    texts.hire.push(next.hire);
    texts.exact.push(next.exact);
    taken.length = 0;
    const push = async (session: Session, token: number) => {
      const begun = stopwatch();
      const x = await session.push(token);
      return { x, time: begun() };
    };
    const hirePushed = await push(hire.session, next.hire);
    const exactPushed = await push(exact.session, next.exact);
    x = { hire: hirePushed.x, exact: exactPushed.x };
    return {
      ...{ token, piece },
      recall: { head, feedForwards: taken.reduce((sum, each) => sum + each, 0) / taken.length },
      time: { hire: hireTime + hirePushed.time, exact: exactTime + exactPushed.time },
    };
  };
  return { begun: { text: tokenizer.decode(visible) }, step };
}

/** Share of the exact choices among those that were made. */
function recall(choose: ExactChoice, x: Float32Array, found: Uint32Array): number {
  const best = choose(x, found.length);
  const made = new Set(found);
  return best.filter((each) => made.has(each)).length / best.length;
}

/** Draws both tokens of a step by one number, so that equal results give equal tokens. */
function chooser(draw: BeginOptions["draw"]) {
  const next = randomWords(draw.kind === "sampled" ? `seed ${draw.seed}` : "");
  return {
    next: () => next() / 2 ** 32,
    from: (plan: SoftmaxPlan, { indices, values }: SoftmaxResult, chance: number) => {
      if (draw.kind === "greedy") return indices[0]!;
      const tempered = Float64Array.from(values, (value) => value / draw.temperature);
      return indices[drawnRank({ ...plan, sampler: "multinomial", topK: plan.k }, tempered, chance)]!;
    },
  };
}

/** What a token adds to a text. Of a character that is not whole yet nothing, and all of it with its last token. */
function pieceOf(decode: (ids: number[]) => string, text: readonly number[], token: number): string {
  const whole = (ids: number[]) => decode(ids).replace(/\uFFFD+$/, "");
  return whole([...text, token]).slice(whole([...text]).length);
}

/** Milliseconds since it was made, or last asked. */
function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const elapsed = now - last;
    last = now;
    return elapsed;
  };
}
