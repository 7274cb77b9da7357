// The figures below the texts: recall, bytes and speed.

import { formatBytes } from "../../compiler/format-bytes.ts";
import { element } from "../element.ts";
import type { Loaded, Step } from "./tasks.ts";

export interface Figures {
  readonly element: HTMLElement;
  loaded(facts: Loaded): void;
  begin(): void;
  add(step: Step): void;
}

const NAMES = [
  ["tokens", "Tokens"],
  ["head", "Exact best 32 rows that HiRE's head found"],
  ["feedForwards", "Exact best 16 groups that HiRE's feed-forwards found"],
  ["bytes", "Weights read per token"],
  ["speed", "Tokens per second"],
] as const;

export function createFigures(): Figures {
  const cells = Object.fromEntries(
    NAMES.map(([name]) => [name, element("dd", { "data-figure": name }, "–")]),
  ) as Record<(typeof NAMES)[number][0], HTMLElement>;
  const list = element(
    "dl",
    {},
    ...NAMES.map(([name, text]) => element("div", {}, element("dt", {}, text), cells[name])),
  );
  let steps: Step[] = [];
  const mean = (of: (step: Step) => number) => steps.reduce((sum, step) => sum + of(step), 0) / steps.length;
  return {
    element: list,
    loaded: ({ bytes: { hire, exact, whole } }) => {
      cells.bytes.textContent = `HiRE ${formatBytes(hire)}, exact ${formatBytes(exact)}; all weights are ${formatBytes(whole)}`;
    },
    begin: () => {
      steps = [];
      for (const name of ["tokens", "head", "feedForwards", "speed"] as const) cells[name].textContent = "–";
    },
    add: (step) => {
      steps.push(step);
      const differing = steps.filter(({ token }) => token.hire !== token.exact).length;
      cells.tokens.textContent = `${steps.length}, of which ${differing === 1 ? "1 differs" : `${differing} differ`}`;
      for (const layers of ["head", "feedForwards"] as const) {
        cells[layers].textContent =
          `${percent(step.recall[layers])} last, ${percent(mean(({ recall }) => recall[layers]))} on average`;
      }
      const speed = (column: "hire" | "exact") => (1000 / mean(({ time }) => time[column])).toPrecision(3);
      cells.speed.textContent = `HiRE ${speed("hire")}, exact ${speed("exact")}`;
    },
  };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
