// The Handlebars templates of a folder below templates/, with the rules that hold for all of them.

import Handlebars from "handlebars";
import { templateTexts } from "./texts.ts";

const OPTIONS = { strict: true, knownHelpersOnly: true, preventIndent: true } as const;

/**
 * Reads every template of a folder once; the file name without `.hbs` names both template and partial.
 * @param kind of HTML, what is put in is escaped.
 */
export function loadTemplates(
  name: string,
  kind: "source" | "html" = "source",
): (name: string) => Handlebars.TemplateDelegate {
  const options = { ...OPTIONS, noEscape: kind === "source" };
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
  for (const [file, text] of templateTexts(name)) {
    if (file.endsWith(".hbs")) {
      handlebars.registerPartial(file.replace(/\.hbs$/, ""), handlebars.compile(text, options));
    }
  }
  return (name) => handlebars.partials[name] as Handlebars.TemplateDelegate;
}
