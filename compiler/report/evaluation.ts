// The report of an evaluation: what a packed module does on a device, against the exact layers.

import type { Diagnostic } from "../../runtime/errors.ts";
import type { EvaluationSummary, LayerEvaluation } from "../../runtime/node/evaluate-file.ts";
import type { Plan } from "../../runtime/plan.ts";
import { readsOf } from "../reads.ts";
import { tokensPlot } from "./figures/tokens.ts";
import { type Figure, type Run, renderPage, type Section, type Table } from "./page.ts";
import { pipelineFigures, shapeOf } from "./pipeline.ts";
import { draw } from "./plot.ts";
import { scoresFigures } from "./scores.ts";
import { bytes, listed, percent, plural, small, wantedShare } from "./words.ts";

export interface EvaluationReport {
  readonly summary: EvaluationSummary;
  readonly warnings: readonly Diagnostic[];
  readonly plan: Plan;
  /** What recall is to be, at least. */
  readonly leastRecall: number;
  readonly run: Run;
}

/** @returns one HTML file. Equal summaries, warnings, plans and runs give equal bytes. */
export async function evaluationReport(report: EvaluationReport): Promise<string> {
  const { summary, warnings, plan, leastRecall, run } = report;
  const { layers, device, profile } = summary;
  const recalls = layers.map(({ layer, recall }) => `\`${layer}\` ${percent(recall.mean)}`);
  const sections: Section[] = [
    {
      id: "results",
      title: "Results",
      notices: warnings,
      tables: [resultsTable(layers, plan)],
      figures: [
        [
          {
            title: "Recall over tokens",
            svg: await draw(tokensPlot(layers, leastRecall), "tokens"),
            caption:
              "The dot is the mean; the thick line holds all but the worst 5 % of the tokens, the thin line all of them.",
            legend: [
              { key: "point", text: "mean" },
              { key: "target", text: `a warning below ${wantedShare({ value: leastRecall })}` },
            ],
          },
        ],
      ],
    },
  ];
  for (const [i, layer] of layers.entries()) sections.push(await evaluatedLayer(layer, plan, `layer-${i}`));
  sections.push({ id: "method", title: "How this was measured", paragraphs: METHOD });
  return renderPage({
    title: `Evaluation of ${plan.model}`,
    lead: [
      `Recall against the exact layers: ${listed(recalls)}. ${warnings.length === 0 ? "No sign of failure shows." : `${plural(warnings.length, "sign")} of failure ${warnings.length === 1 ? "shows" : "show"}.`}`,
      `Run on ${device}${profile === undefined ? "" : `, profile \`${profile}\``}.`,
    ],
    sections,
    run,
  });
}

const METHOD = [
  "The module ran on the device on recorded inputs, and every result was compared with the exact layer in f32. Recall is the share of the exact k best rows, or groups, that were returned.",
  "KL is the divergence, in nats, of the distribution over the returned rows from the exact one over all rows. Part of it even the exact k best would have; that part no setting can avoid.",
  "Spreads of scores, correlation and survivors are those of the packed copy by a reference in float64, on a few of the tokens.",
];

function resultsTable(layers: readonly LayerEvaluation[], plan: Plan): Table {
  const rows = layers.map((each) => {
    const { layer, tokens, recall, agreement, divergence, unavoidable, error, certified, estimates } = each;
    const own = plan.layers[layer]!;
    const { total, ratio } = readsOf(own, own.batch);
    const side = divergence
      ? `${small(divergence.mean)} KL, ${small(unavoidable?.mean ?? 0)} unavoidable`
      : `${small(error?.mean ?? 0)} error`;
    return [
      `\`${layer}\``,
      String(tokens),
      percent(recall.mean),
      percent(recall.p5),
      percent(recall.min),
      percent(agreement),
      side,
      certified === undefined ? "–" : percent(certified),
      ...(estimates ? [estimates.survivingK, estimates.predictedK].map((share) => percent(share)) : ["–", "–"]),
      `${bytes(total)}, ${percent(1 / ratio, 0)}`,
    ];
  });
  const worst = ["worst 5 %", "worst"];
  return {
    caption: "Results against the exact layers",
    head: [
      "layer",
      "tokens",
      "recall",
      ...worst,
      "agreement",
      "KL or error",
      "proven",
      "first stage keeps",
      "predicted",
      "reads, of dense",
    ],
    rows,
  };
}

async function evaluatedLayer(evaluated: LayerEvaluation, plan: Plan, id: string): Promise<Section> {
  const { layer, estimates, k, candidates } = evaluated;
  const own = plan.layers[layer]!;
  const figures: Figure[] = [];
  const paragraphs = [shapeOf(own)];
  if (estimates) {
    const { scores, tokens, correlation, survivingK, predictedK } = estimates;
    paragraphs.push(
      `On ${plural(tokens, "token")}, what rows are ordered by correlates with exact scores by ${correlation.toFixed(4)}. The first stage keeps ${percent(survivingK)} of the k best, where ${percent(predictedK)} are predicted.`,
    );
    const isBound = own.certificate?.slack !== undefined;
    const choices = own.group ? "groups" : "rows";
    figures.push(...(await scoresFigures({ layer, ...scores, tokens, k, candidates, choices, isBound }, id)));
  }
  return { id, title: `Layer ${layer}`, paragraphs, figures: [figures, pipelineFigures(plan, layer, id)] };
}
