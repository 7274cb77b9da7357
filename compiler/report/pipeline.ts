// The pipeline of a layer as figures: what hirec launches, and a dense layer beside it, to one scale.

import type { LayerPlan, Plan } from "../../runtime/plan.ts";
import { type FlowStep, flowOf } from "../cli/explain/flow.ts";
import { explainModel } from "../cli/explain/model.ts";
import { denseFlow } from "./dense-flow.ts";
import { diagram } from "./diagram.ts";
import type { Figure } from "./page.ts";
import { bytes, plural } from "./words.ts";

/** @param id begins the ids of both. */
export function pipelineFigures(plan: Plan, name: string, id: string): Figure[] {
  const layer = plan.layers[name]!;
  const part = layer.sharding ? plan.shards?.parts[0]?.layers[name] : undefined;
  const own = part ?? layer;
  const explained = explainModel(plan).layers.find((each) => each.layer === name)!;
  const { total, dense, ratio } = explained.reads.at(-1)!;
  const of = layer.sharding ? ` on one of ${layer.sharding.count} shards` : "";
  const draw = (which: string, title: string, flow: readonly FlowStep[]): string =>
    diagram({ id: `${id}-${which}`, title: `${title}, layer ${name}`, flow, denseBytes: dense });
  return [
    {
      title: `What a launch moves${of}`,
      svg: draw("flow", "What a launch moves", flowOf(plan, plan.programs[0]!.profile, explained)),
      caption: `${bytes(total)} of weights for ${plural(own.batch, "token")}, ${fewer(ratio)}. Arrows are as wide as their bytes, the thinnest and those into dashed boxes excepted; exact weights are counted once for all tokens that ask for them, as if those chose independently.`,
    },
    {
      title: `The dense layer${of}`,
      svg: draw("dense", "What a dense layer moves", denseFlow(own)),
      caption: `${bytes(dense)} of ${own.dtype} weights, to the same scale.`,
    },
  ];
}

function fewer(ratio: number): string {
  return ratio > 1 ? `${ratio.toFixed(2)} times fewer than dense` : "no fewer than dense";
}

/** A layer's shape in words. */
export function shapeOf(layer: LayerPlan): string {
  const { rows, inputs, dtype, k, candidates, batch, group } = layer;
  const what = group
    ? `Feed-forward of ${rows} neurons in ${group.count} groups of ${group.size}, ${inputs} inputs`
    : `Output head of ${rows} rows × ${inputs} inputs`;
  return `${what}, ${dtype}: the ${k} best of ${candidates} candidates, ${plural(batch, "token")} per launch.`;
}
