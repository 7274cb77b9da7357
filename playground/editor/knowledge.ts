// What the language service knows, as the editor shows it: completions while typing, types on hovering.

import type { Completion as CodeMirrorCompletion, CompletionContext, CompletionSource } from "@codemirror/autocomplete";
import { hoverTooltip } from "@codemirror/view";
import type { Compiler } from "../compile/compiler.ts";
import type { Completion, Description, Quote } from "../compile/protocol.ts";
import { element } from "../element.ts";

/** After these a word begins, also when none of its letters is typed yet. */
const BEGINS_WORD = /[."'`]$/;

export function completions({ ask }: Compiler): CompletionSource {
  return async (context: CompletionContext) => {
    const before = context.matchBefore(/[\w$]+$/) ?? context.matchBefore(BEGINS_WORD);
    if (!before && !context.explicit) return null;
    const text = context.state.doc.toString();
    const [typed] = /["'`]$/.exec(before?.text ?? "") ?? [];
    const found = await ask("complete", text, context.pos, typed as Quote | undefined).catch(() => undefined);
    if (!found || context.aborted) return null;
    const option = ({ name, kind, order }: Completion): CodeMirrorCompletion => ({
      label: name,
      detail: kind,
      // TypeScript's order is text: 11 for locals, 15 for globals, more behind.
      boost: -(Number.parseInt(order, 10) || 50),
      info: async () => {
        const described = await ask("describe", text, context.pos, name).catch(() => undefined);
        return described ? descriptionBox(described) : null;
      },
    });
    return { from: found.from, options: found.entries.map(option), validFor: /^[\w$]*$/ };
  };
}

export function typesOnHover({ ask }: Compiler) {
  return hoverTooltip(async (view, at) => {
    const described = await ask("hover", view.state.doc.toString(), at).catch(() => undefined);
    if (!described) return null;
    return {
      pos: described.from,
      end: described.to,
      above: true,
      create: () => ({ dom: descriptionBox(described) }),
    };
  });
}

function descriptionBox({ signature, documentation }: Description): HTMLElement {
  const words = documentation === "" ? [] : [element("p", {}, documentation)];
  return element("div", { className: "description" }, element("code", {}, signature), ...words);
}
