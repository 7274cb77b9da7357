// The sources of one target: a profile to choose, a tab per kernel of the layer, and the text.

import { layerKernels } from "../../compiler/cli/explain/flow.ts";
import { stageLines } from "../../compiler/stage-lines.ts";
import type { KernelPlan, Target } from "../../runtime/plan.ts";
import type { Compiled } from "../compile/protocol.ts";
import { element } from "../element.ts";
import { byId } from "../page/by-id.ts";
import { copyOnClick } from "../page/copy.ts";
import { createTabs } from "../page/tabs.ts";
import { createCodeView } from "./code-view.ts";

export interface Pane {
  show(compiled: Compiled, layer: string): void;
  /** Marks the lines of a stage, in the kernel of that name where it has one, and nothing where the target has no such stage. */
  showStage(stage: string, kernel: string): void;
}

export function createPane(target: Target): Pane {
  const profiles = byId<HTMLSelectElement>(`${target}-profile`);
  const panel = byId(`${target}-panel`);
  const view = createCodeView(panel, target);
  const tabs = createTabs(byId(`${target}-tabs`), panel, showKernel);
  let shown: { readonly compiled: Compiled; readonly layer: string } | undefined;
  let kernels: readonly KernelPlan[] = [];

  copyOnClick(byId<HTMLButtonElement>(`${target}-copy`), () => view.source);
  profiles.addEventListener("change", showKernels);

  function showKernels(): void {
    if (!shown) return;
    const { compiled, layer } = shown;
    kernels = layerKernels(compiled.plan, profiles.value, layer);
    panel.hidden = kernels.length === 0;
    if (kernels.length > 0) tabs.set(kernels.map(({ name }) => name));
  }

  function showKernel(name: string): void {
    const kernel = kernels.find((each) => each.name === name)!;
    const source = shown!.compiled.files.get(kernel.file)!;
    if (source !== view.source) view.show(source);
  }

  return {
    show(compiled, layer) {
      shown = { compiled, layer };
      const names = compiled.plan.programs.filter((program) => program.target === target).map(({ profile }) => profile);
      if (names.length !== profiles.length)
        profiles.replaceChildren(...names.map((name) => element("option", {}, name)));
      showKernels();
    },
    showStage(stage, wanted) {
      const having = kernels.filter(({ stages }) => stages.includes(stage));
      const kernel = having.find(({ name }) => name === wanted) ?? having[0];
      if (!kernel) return;
      tabs.select(kernel.name);
      view.mark(stageLines(kernel, view.source).get(stage)!);
    },
  };
}
