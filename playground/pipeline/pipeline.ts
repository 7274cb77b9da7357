// The pipeline of the chosen layer: its picture, what it promises, and the whole explanation.

import { flowOf } from "../../compiler/cli/explain/flow.ts";
import type { LayerExplanation } from "../../compiler/cli/explain/model.ts";
import { percent } from "../../compiler/cli/explain/model-text.ts";
import { formatBytes } from "../../compiler/format-bytes.ts";
import type { Compiled } from "../compile/protocol.ts";
import { element } from "../element.ts";
import { byId } from "../page/by-id.ts";
import { createTabs } from "../page/tabs.ts";
import { drawPipeline } from "./draw.ts";

export interface Listeners {
  /** Another layer was chosen, or the chosen one was compiled anew. */
  readonly layer: (layer: string) => void;
  /** The lines of a stage are wanted. */
  readonly stage: (stage: string, kernel: string) => void;
}

/** @returns a function that shows what was compiled. */
export function createPipeline(listeners: Listeners): (compiled: Compiled) => void {
  const panel = byId("pipeline-panel");
  const profiles = byId<HTMLSelectElement>("pipeline-profile");
  const tabs = createTabs(byId("layer-tabs"), panel, showLayer);
  let shown: Compiled | undefined;

  profiles.addEventListener("change", draw);

  function showLayer(layer: string): void {
    draw();
    listeners.layer(layer);
  }

  function draw(): void {
    const layer = shown!.explanation.layers.find((each) => each.layer === tabs.selected)!;
    const flow = flowOf(shown!.plan, profiles.value, layer);
    byId("pipeline-picture").replaceChildren(drawPipeline(layer.layer, flow, listeners.stage));
    byId("facts").replaceChildren(
      ...facts(layer).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
    );
  }

  return (compiled) => {
    shown = compiled;
    const { plan, explanation, explained } = compiled;
    if (profiles.length === 0)
      profiles.replaceChildren(...plan.programs.map(({ profile }) => element("option", {}, profile)));
    // What scrolls is within reach of the keyboard.
    Object.assign(byId("explained"), { textContent: explained, tabIndex: 0 });
    tabs.set(explanation.layers.map(({ layer }) => layer));
  };
}

function facts({ kind, k, candidates, rows, inputs, group, selection, shards, reads, estimator }: LayerExplanation) {
  const what = group ? "groups" : "rows";
  const first = reads[0]!;
  const last = reads.at(-1)!;
  const fewer = ({ total, dense, ratio }: typeof first) =>
    `${formatBytes(total)} instead of ${formatBytes(dense)}: ${ratio.toFixed(2)}× fewer`;
  const estimates = estimator.kind === "dense" ? "scores" : "estimates";
  return [
    [
      "Computes",
      `${kind}: the ${k} best of ${group ? `${group.count} groups of ${group.size}` : rows} ${what} × ${inputs} inputs`,
    ],
    [
      "Predicted recall",
      `${percent(selection.recallOfK)} of the ${k} best ${estimates}, ${percent(selection.recallOfCandidates)} of the ${candidates} candidates`,
    ],
    ...(shards ? [["Over shards", `${percent(shards.recall)} of what one device would select, predicted`]] : []),
    ["Weights read at batch 1", fewer(first)],
    ...(last.batch > 1 ? [[`At batch ${last.batch}`, fewer(last)]] : []),
  ] as [string, string][];
}
