// What an output head does beyond its k best scores: bias, mask, transform, temperature, log-sum-exp and sampler.

import type { Built, Certify } from "../../dsl/index.ts";
import type { SoftmaxOptionsPlan } from "../../runtime/plan.ts";
import type { ScalarFunction } from "../../runtime/scalar.ts";
import { findDisorder } from "../scalar/order.ts";
import { isBuilt, optionsOf, type Reader, show } from "./reader.ts";

export const OPTION_PROPERTIES = ["bias", "mask", "transform", "temperature", "logSumExp", "tail", "sample"];

/** Within them a quotient of floats is a float again, on devices that flush subnormal numbers too. */
const TEMPERATURES = { least: 1e-6, most: 1e6 };

/** @returns those that the layer has; reports HIRE-SPEC-008 to -016, -020, -021 and -027. */
export function checkOptions(
  reader: Reader,
  layer: Built<"softmax", unknown>,
  { k, isDense, certify }: { readonly k: number; readonly isDense: boolean; readonly certify: Certify },
): SoftmaxOptionsPlan {
  const options = optionsOf(layer);
  const transform = checkTransform(reader, layer);
  const temperature = checkTemperature(reader, layer, options.temperature);
  const logSumExp = isOn(reader, layer, "logSumExp");
  const tail = reader.choice(layer, "tail", ["drop", "estimate"] as const, "drop");
  if (options.tail !== undefined && !logSumExp) {
    reader.report("HIRE-SPEC-015", "`tail` has no meaning without logSumExp, the only sum that has one", {
      fix: "Remove `tail`, or add logSumExp: true",
      span: reader.name(layer, "tail"),
    });
  }
  if (certify !== "off") {
    const refuse = (property: string, why: string, fix: string) =>
      reader.report("HIRE-SPEC-015", `\`certify\` has no meaning with \`${property}\`, ${why}`, {
        fix,
        span: reader.name(layer, property),
      });
    if (options.bias !== undefined)
      refuse("bias", "of which its proof knows nothing yet", "Remove `certify` or `bias`");
    if (logSumExp && certify === "fallback") {
      refuse("logSumExp", "which a fallback does not compute again", 'Use certify: "report", or remove `logSumExp`');
    } else if (logSumExp && tail === "estimate" && !isDense) {
      refuse("tail", "since it ranks rows by upper bounds, not by estimates", 'Remove `certify`, or use tail: "drop"');
    }
  }
  return {
    ...(options.bias !== undefined && { bias: reader.tensorName(layer, "bias") }),
    ...(isOn(reader, layer, "mask") && { mask: true as const }),
    ...(transform && { transform }),
    ...(temperature !== 1 && { temperature }),
    ...(logSumExp && { logSumExp: isDense ? "all" : tail === "drop" ? "candidates" : "estimates" }),
    ...checkSampler(reader, layer, options.sample, k),
  };
}

function isOn(reader: Reader, layer: Built<string, unknown>, property: string): boolean {
  return reader.choice(layer, property, [true, false], false);
}

function checkTransform(reader: Reader, layer: Built<string, unknown>): ScalarFunction | undefined {
  const transform = reader.scalar(layer, "transform");
  const disorder = transform && findDisorder(transform);
  if (!disorder) return transform;
  const what =
    "isNaNAt" in disorder
      ? `is NaN at ${short(disorder.isNaNAt)}`
      : `is ${short(disorder.first)} at ${short(disorder.below)} and ${short(disorder.second)} at ${short(disorder.above)}`;
  reader.report("HIRE-SPEC-027", `\`transform\` must keep the order of scores, but ${what}`, {
    fix: "Use a function that is defined everywhere and never decreases, such as (s) => 30 * Math.tanh(s / 30)",
    span: reader.value(layer, "transform"),
  });
  return transform;
}

/** Enough digits to be seen. */
function short(value: number): number {
  return Number(value.toPrecision(6));
}

function checkTemperature(reader: Reader, layer: Built<string, unknown>, value: unknown = 1): number {
  const { least, most } = TEMPERATURES;
  if (typeof value === "number" && value >= least && value <= most) return value;
  reader.report("HIRE-SPEC-010", `\`temperature\` must be a number from ${least} to ${most}, not ${show(value)}`, {
    fix: value === 0 ? "For the best row alone, use sample: greedy()" : "Use a number such as 0.7; 1 changes nothing",
    span: reader.value(layer, "temperature"),
  });
  return 1;
}

function checkSampler(
  reader: Reader,
  layer: Built<string, unknown>,
  sampler: unknown,
  k: number,
): Pick<SoftmaxOptionsPlan, "sampler" | "topK" | "topP"> {
  if (sampler === undefined) return {};
  if (isBuilt(sampler, "greedy")) return { sampler: "greedy" };
  if (!isBuilt(sampler, "multinomial")) {
    reader.missingBuilder(layer, "sample", sampler, "greedy() or multinomial({ topP: 0.9 })");
    return {};
  }
  const { topP = 1 } = reader.options(sampler, ["topK", "topP"]);
  const topK = reader.count(sampler, "topK", k, k);
  if (typeof topP === "number" && topP > 0 && topP <= 1) return { sampler: "multinomial", topK, topP };
  reader.report("HIRE-SPEC-010", `\`topP\` must be a number above 0 and at most 1, not ${show(topP)}`, {
    fix: "Use a share such as 0.9",
    span: reader.value(sampler, "topP"),
  });
  return { sampler: "multinomial", topK, topP: 1 };
}
