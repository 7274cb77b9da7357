// "Run it here": the compiled layer on the visitor's GPU, beside the dense kernel.

import "../device-parts.css";
import "./run.css";
import type { Compiled } from "../compile/protocol.ts";
import type { CompiledSource } from "../compile/source.ts";
import { element, labelled } from "../element.ts";
import { partOfTinyLm } from "../tiny-lm/part.ts";
import { callWorker, type WorkerCall } from "../worker/call.ts";
import { createStatus } from "../worker/status.ts";
import type { RunRequest, RunResult } from "./measure-layer.ts";
import { resultView } from "./result-view.ts";

/** What is run of a spec that compiled. */
export type CompiledSpec = Pick<Compiled, "plan" | "files">;

const MOST_TOKENS = 128;

export function mountRun(container: HTMLElement, source: CompiledSource<CompiledSpec>): void {
  const heading = element("h2", {}, "Run it on this device");
  if (!("gpu" in navigator)) {
    container.replaceChildren(
      heading,
      element(
        "p",
        { className: "unavailable" },
        "This browser offers no WebGPU here, so layers cannot be run in this page. Everything else works: the compiler needs no GPU. ",
        "Browsers with WebGPU are Chrome and Edge from 113 on, Safari from 26 on, and Firefox from 141 on where it is switched on; the page must come over https or from localhost.",
      ),
    );
    return;
  }

  let compiled: CompiledSpec | undefined;
  let worker: WorkerCall<RunRequest, RunResult> | undefined;
  const layer = element("select", { name: "layer" });
  const weights = element("select", { name: "weights" });
  const tokens = element("input", {
    name: "tokens",
    type: "number",
    min: "1",
    max: String(MOST_TOKENS),
    value: "64",
    required: true,
  });
  const start = element("button", { type: "submit", disabled: true }, "Run");
  const cancel = element("button", { type: "button", hidden: true }, "Cancel");
  const status = createStatus();
  const results = element("div", { className: "results" });
  const form = element(
    "form",
    { className: "fields" },
    labelled("Layer", layer),
    labelled("Weights and tokens", weights),
    labelled("Tokens", tokens),
    element("div", { className: "actions" }, start, cancel),
  );
  container.replaceChildren(
    heading,
    element(
      "p",
      {},
      "Packs weights in a worker, runs the layer's kernels on this device's GPU, and compares them with the dense kernel of the same layer and with exact scores.",
    ),
    form,
    status.element,
    results,
  );

  const offerWeights = () => {
    const chosen = compiled?.plan.layers[layer.value];
    const own =
      chosen && partOfTinyLm(chosen) !== undefined ? [["tiny-lm", "tiny-lm's own, on held-out text"] as const] : [];
    const offered = [...own, ["random", "random, normally distributed"] as const];
    weights.replaceChildren(...offered.map(([value, text]) => element("option", { value }, text)));
  };
  const finish = () => {
    worker?.close();
    worker = undefined;
    start.hidden = false;
    // What is hidden keeps no focus.
    if (document.activeElement === cancel) start.focus();
    cancel.hidden = true;
  };
  layer.onchange = offerWeights;
  cancel.onclick = () => {
    finish();
    status.say("Cancelled.");
  };
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (!compiled || worker) return;
    cancel.hidden = false;
    cancel.focus();
    start.hidden = true;
    results.replaceChildren();
    const { plan, files } = compiled;
    const request: RunRequest = {
      compiled: { plan, sources: Object.fromEntries(files) },
      layer: layer.value,
      weights: weights.value as RunRequest["weights"],
      tokens: tokens.valueAsNumber,
    };
    worker = callWorker(new Worker(new URL("worker.ts", import.meta.url), { type: "module" }));
    status.show({ label: "Starting" });
    const outcome = await worker.call(request, status.show);
    finish();
    if ("problems" in outcome) return status.fail(outcome.problems);
    status.say("Done.");
    results.replaceChildren(resultView(outcome.result));
  };

  source.onCompiled((next) => {
    compiled = next;
    start.disabled = false;
    const before = layer.value;
    const names = Object.keys(next.plan.layers);
    layer.replaceChildren(...names.map((name) => element("option", { value: name, selected: name === before }, name)));
    offerWeights();
    if (results.hasChildNodes() && !worker)
      status.say("The spec has changed since; the figures below are of the version before.");
  });
}
