// Scores and their cuts as a figure, of a calibration or of an evaluation.

import { hasSpread, orderedBy, type ScoresInput, scoresPlot } from "./figures/scores.ts";
import type { Figure } from "./page.ts";
import { draw } from "./plot.ts";

/** Nothing where scores do not vary. @param id begins the id of the picture. */
export async function scoresFigures(input: ScoresInput, id: string): Promise<Figure[]> {
  if (!hasSpread(input.exact)) return [];
  const what = orderedBy(input);
  return [
    {
      title: "Scores, and where they are cut",
      svg: await draw(scoresPlot(input), `${id}-scores`),
      caption: `What lies right of k′ by its ${what} is scored exactly; what lies right of k by its exact score should be among it. The room between the two cuts is what errors of ${what} may take.`,
      legend: [
        { key: "exact", text: "exact" },
        { key: "estimates", text: what },
        { key: "kth", text: "the k-th, exact" },
        { key: "cut", text: "the last candidate" },
      ],
    },
  ];
}
