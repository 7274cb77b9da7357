// Pass 6. A kernel of the plan becomes source text, through the template of its name. Templates receive names, types,
// numbers and yes-or-no choices; what is decided is decided before.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import Handlebars from "handlebars";
import type { KernelPlan } from "../runtime/plan.ts";

/** Where a kernel belongs, for the header of its source. */
export interface KernelPlace {
  readonly spec: string;
  readonly model: string;
  readonly layer: string;
  readonly profile: string;
}

const OPTIONS = { noEscape: true, strict: true, knownHelpersOnly: true, preventIndent: true } as const;

let cached: ReturnType<typeof loadTemplates> | undefined;

/** @returns the source of one kernel, ending in a newline. */
export function render(kernel: KernelPlan, place: KernelPlace): string {
  cached ??= loadTemplates();
  const { choices, constants } = kernel;
  const source = cached(kernel.template)({
    ...place,
    ...constants,
    ...choices,
    kernel: { name: kernel.name },
    name: kernel.name,
    workgroupSize: kernel.workgroupSize,
    stages: kernel.stages.join(" -> "),
    bindings: kernel.bindings.map((binding, index) => ({
      ...binding,
      index,
      space: binding.access === "uniform" ? "uniform" : `storage, ${binding.access}`,
    })),
    workgroupVariables: kernel.workgroupVariables,
    // The names that the choices stand for.
    kept: choices.keptInWorkgroup ? "kept" : "survivors",
    activation: choices.staged ? "staged_quad" : "token_quad",
    largestOfToken: choices.quantizesHere ? "atomicLoad(&largest[token])" : "largest[token]",
  });
  return `${source.replace(/\n{3,}/g, "\n\n").trimEnd()}\n`;
}

/** Reads every template once; the file name without `.hbs` names both template and partial. */
function loadTemplates(): (name: string) => Handlebars.TemplateDelegate {
  // `templates/` lies beside `compiler/` in the sources, and beside `dist/` in the built package.
  const folder = ["../templates/wgsl/", "../../templates/wgsl/"]
    .map((path) => new URL(path, import.meta.url))
    .find((url) => existsSync(url))!;
  const handlebars = Handlebars.create();
  const onlyBoolean = (helper: "if" | "unless", wanted: boolean) =>
    // Handlebars takes a missing name for false even in strict mode, and 0 too; here both are mistakes.
    handlebars.registerHelper(helper, function (this: unknown, value: unknown, options: Handlebars.HelperOptions) {
      if (typeof value !== "boolean")
        throw new Error(`{{#${helper}}} in a template got ${String(value)}, not a choice`);
      return value === wanted ? options.fn(this) : options.inverse(this);
    });
  onlyBoolean("if", true);
  onlyBoolean("unless", false);
  for (const file of readdirSync(folder).sort()) {
    handlebars.registerPartial(
      file.replace(/\.hbs$/, ""),
      handlebars.compile(readFileSync(new URL(file, folder), "utf8"), OPTIONS),
    );
  }
  return (name) => handlebars.partials[name] as Handlebars.TemplateDelegate;
}
