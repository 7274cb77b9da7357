// What a launch reads, of what the dense layer reads: a bar for each layer, and a mark for its setting in the spec.

import type { LayerCalibration } from "../../calibrate/result.ts";
import { COLOR, type Plot } from "../plot.ts";
import { bytes, percent, settingWords } from "../words.ts";

/** @param width of the plot, without its names. */
export function bytesPlot(layers: readonly LayerCalibration[], width: number): Plot {
  const values = layers.flatMap(({ layer, settings, proposal, best, current, denseBytes }) => {
    const shown = settings[proposal ?? best ?? -1];
    if (!shown) return [];
    const share = shown.reads.total / denseBytes;
    const spec = current === undefined ? 1 : settings[current]!.reads.total / denseBytes;
    const text = `${bytes(shown.reads.total)} of ${bytes(denseBytes)}`;
    const name = `${layer}: ${settingWords(shown)}, reads ${text}, ${percent(share, 0)}; the spec's setting ${percent(spec, 0)}`;
    // Behind whatever is longer.
    return [{ layer, share, spec, text, name, end: Math.max(share, spec) }];
  });
  const x = (field: string) =>
    ({
      field,
      type: "quantitative",
      scale: { domain: [0, Math.max(1, ...values.map(({ end }) => end))] as number[] },
      axis: { title: null, format: "%", tickCount: 5 },
    }) as const;
  const y = {
    field: "layer",
    type: "nominal",
    sort: null,
    axis: { title: null, labelColor: COLOR.text, labelLimit: 90, ticks: false, domain: false },
  } as const;
  return {
    title: "Weight bytes of a launch, of dense",
    description: values.map(({ name }) => name).join("; "),
    spec: {
      ...{ width, height: { step: 30 }, data: { values } },
      layer: [
        {
          mark: { type: "bar", color: COLOR.chosen, height: 14, aria: true },
          encoding: { x: x("share"), y, description: { field: "name", type: "nominal" } },
        },
        {
          mark: {
            type: "point",
            shape: "square",
            filled: true,
            size: 110,
            opacity: 1,
            color: COLOR.estimate,
            stroke: "var(--page)",
            strokeWidth: 2,
          },
          encoding: { x: x("spec"), y },
        },
        {
          mark: { type: "text", align: "left", dx: 12, stroke: "var(--page)", strokeWidth: 4 },
          encoding: { x: x("end"), y, text: { field: "text" } },
        },
      ],
    },
  };
}
