// The figures below the texts: recall, bytes and speed.

import { formatBytes } from "../../compiler/cli/format-bytes.ts";
import { element } from "../element.ts";
import type { Loaded, Step } from "./tasks.ts";

export interface Figures {
  readonly element: HTMLElement;
  loaded(facts: Loaded): void;
  begin(): void;
  add(step: Step): void;
}

const NAMES = [
  ["tokens", "Tokens, and those that differ"],
  ["head", "Head: exact best 32 that HiRE has, last and mean"],
  ["feedForwards", "Feed-forwards: exact best 16 groups that HiRE has, last and mean"],
  ["bytes", "Weights read per token: HiRE, dense kernels, all weights"],
  ["speed", "Tokens per second: HiRE, dense kernels"],
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
      cells.bytes.textContent = `${formatBytes(hire)}, ${formatBytes(exact)}, ${formatBytes(whole)}`;
    },
    begin: () => {
      steps = [];
      for (const name of ["tokens", "head", "feedForwards", "speed"] as const) cells[name].textContent = "–";
    },
    add: (step) => {
      steps.push(step);
      const differing = steps.filter(({ token }) => token.hire !== token.exact).length;
      cells.tokens.textContent = `${steps.length}, ${differing}`;
      for (const layers of ["head", "feedForwards"] as const) {
        cells[layers].textContent = `${percent(step.recall[layers])}, ${percent(mean(({ recall }) => recall[layers]))}`;
      }
      const speed = (column: "hire" | "exact") => (1000 / mean(({ time }) => time[column])).toPrecision(3);
      cells.speed.textContent = `${speed("hire")}, ${speed("exact")}`;
    },
  };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
