// What a run found, as a table with a sentence on what it means.

import { formatBytes } from "../../compiler/format-bytes.ts";
import { ROUNDS } from "../../compiler/tune/race.ts";
import { formatTime } from "../../compiler/tune/timing.ts";
import { element } from "../element.ts";
import type { Cost, RunResult } from "./measure-layer.ts";

export function resultView(result: RunResult): HTMLElement {
  const { adapter, kind, profile } = result;
  return element(
    "div",
    {},
    element("p", { className: "adapter" }, `On ${adapter}, profile ${profile}.`),
    ...(kind === "software" ? [softwareNote()] : []),
    quality(result),
    costs(result),
    element("p", { className: "notes" }, notes(result)),
  );
}

function softwareNote(): HTMLElement {
  return element(
    "p",
    { className: "warning" },
    element("strong", {}, "Software adapter. "),
    "The browser computes on the processor here. Results are those of a GPU, times are not: they say nothing about speed.",
  );
}

function quality({ plan, evaluation, estimates, reference }: RunResult): HTMLElement {
  const choices = plan.kind === "ffn" ? "groups" : "rows";
  const { k, candidates, estimator, selection } = plan;
  const predicted = estimator.kind === "dense" ? "100 %" : percent(selection.recallOfK);
  const { recall, agreement, error, valueError, certified, tokens } = evaluation;
  return table(
    `Quality: the best ${k} of ${candidates} candidates, on ${count(tokens, "token")}`,
    ["", "predicted", "measured"],
    [
      ...(estimates
        ? [[`best ${k} estimates that survive the first stage`, predicted, percent(estimates.survivingK)] as const]
        : []),
      // What the estimates lose comes on top.
      [
        `recall@${k} against exact ${choices}`,
        estimates ? unbroken(`≤ ${predicted}`) : predicted,
        percent(recall.mean),
      ],
      [plan.kind === "ffn" ? "best group among the results" : "best row is the exact one", "", percent(agreement)],
      ...(error ? [["error of the output, relative", "", error.mean.toPrecision(2)] as const] : []),
      ...(valueError !== undefined ? [["largest error of a score", "", valueError.toPrecision(2)] as const] : []),
      ...(certified !== undefined ? [["tokens proven to miss no row", "", percent(certified)] as const] : []),
      [
        `results against the float64 reference, ${count(reference.tokens, "token")}`,
        "equal",
        reference.difference === undefined ? "equal" : `differ in ${reference.difference}`,
      ],
    ],
  );
}

function costs({ plan, hire, dense }: RunResult): HTMLElement {
  const time = ({ time: { median, spread } }: Cost) =>
    `${unbroken(formatTime(median))} ${unbroken(`± ${formatTime(spread / 2)}`)}`;
  const ratio = (dense: number, hire: number) => unbroken(`${(dense / hire).toFixed(2)} ×`);
  return table(
    `Cost of a launch of ${count(plan.batch, "token")}`,
    ["", "HiRE", "dense kernel", "dense / HiRE"],
    [
      ["time", time(hire), time(dense), ratio(dense.time.median, hire.time.median)],
      [
        "weights read",
        formatBytes(hire.reads.total),
        formatBytes(dense.reads.total),
        ratio(dense.reads.total, hire.reads.total),
      ],
      ["of which the scored copy", formatBytes(hire.reads.score), formatBytes(dense.reads.score), ""],
      ["of which exact rows", formatBytes(hire.reads.rescore), formatBytes(dense.reads.rescore), ""],
    ],
  );
}

function notes({ plan, weights, packing, timestamps }: RunResult): string {
  const data =
    weights === "tiny-lm"
      ? "Weights are tiny-lm's, tokens its true inputs while it reads held-out text."
      : `Weights and tokens are random and normal: no row stands out as in a trained model${plan.estimator.kind === "lowRank" ? ", and no direction that a low rank could keep" : ""}, which makes estimates look worse than they are there.`;
  const clock = timestamps ? "timestamps of the device" : "the page's clock, submission included";
  const prediction =
    plan.estimator.kind === "dense"
      ? ""
      : " The prediction is what the first stage loses; what the estimates lose comes on top in recall.";
  return `${data} Packed in ${(packing / 1000).toFixed(1)} s. Times are between ${clock}: medians of ${ROUNDS}, ± half the distance of the quartiles, both kernels in turns.${prediction}`;
}

function table(caption: string, head: readonly string[], rows: readonly (readonly string[])[]): HTMLElement {
  const line = ([first = "", ...cells]: readonly string[]) =>
    element("tr", {}, element("th", { scope: "row" }, first), ...cells.map((cell) => element("td", {}, cell)));
  return element(
    "div",
    { className: "scroll", tabIndex: 0, role: "region", "aria-label": caption },
    element(
      "table",
      {},
      element("caption", {}, caption),
      element(
        "thead",
        {},
        element("tr", {}, ...head.map((text) => (text ? element("th", { scope: "col" }, text) : element("td")))),
      ),
      element("tbody", {}, ...rows.map(line)),
    ),
  );
}

function percent(share: number): string {
  return unbroken(`${(100 * share).toFixed(2)} %`);
}

/** A number and its unit stay on a line. */
function unbroken(text: string): string {
  return text.replaceAll(" ", "\u00a0");
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
