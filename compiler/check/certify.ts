// Whether a layer can be certified as it asks.

import type { Built, Certify } from "../../dsl/index.ts";
import { MAX_CERTIFIED_INPUTS } from "../certificate.ts";
import type { CheckedEstimator, CheckedSelector } from "../model.ts";
import type { Reader } from "./reader.ts";

/** @returns `certify` of a layer, after reporting HIRE-SPEC-013, -015 or -026. */
export function checkCertify(
  reader: Reader,
  layer: Built<string, unknown>,
  estimator: CheckedEstimator | undefined,
  select: CheckedSelector,
  inputs: number,
): Certify {
  const certify = reader.choice(layer, "certify", ["off", "report", "fallback"] as const, "off");
  if (certify === "off" || estimator === undefined) return certify;
  if (estimator.kind === "dense" && select.kind === "exact") {
    reader.report("HIRE-SPEC-015", "`certify` has no meaning with dense() and exact(), which miss no row", {
      fix: "Remove `certify`",
      span: reader.name(layer, "certify"),
    });
  } else if (estimator.kind === "dense" && certify === "fallback") {
    reader.report("HIRE-SPEC-015", '`certify: "fallback"` has no meaning with dense(), which has no cheaper scores', {
      fix: 'Use exact() as the selector, which misses no row, or certify: "report"',
      span: reader.value(layer, "certify"),
    });
  } else if (select.kind === "statistical") {
    reader.report("HIRE-SPEC-015", "`certify` has no meaning with statistical(), which does not know what it drops", {
      fix: "Use exact() or twoStage() as the selector, or remove `certify`",
      span: reader.name(layer, "certify"),
    });
  } else if (estimator.kind === "lowRank") {
    reader.report(
      "HIRE-SPEC-015",
      "`certify` has no meaning with lowRank(), whose bounds are too wide to prove anything",
      {
        fix: "Use quantized() to certify, or remove `certify`: what a low rank leaves out is a large share of a row",
        span: reader.name(layer, "certify"),
      },
    );
  } else if (estimator.kind !== "dense" && inputs > MAX_CERTIFIED_INPUTS) {
    reader.report("HIRE-SPEC-026", `${inputs} inputs are too many to certify; at most ${MAX_CERTIFIED_INPUTS} are`, {
      fix: "Remove `certify`, or use fewer inputs: errors of so long a sum cannot be bounded usefully in f32",
      span: reader.value(layer, "certify"),
    });
  }
  return certify;
}
