// The editor of the spec.

import { autocompletion } from "@codemirror/autocomplete";
import { javascript } from "@codemirror/lang-javascript";
import { lintGutter } from "@codemirror/lint";
import { EditorView } from "@codemirror/view";
import { basicSetup } from "codemirror";
import type { Compiler } from "../compile/compiler.ts";
import { completions, typesOnHover } from "./knowledge.ts";
import { codeTheme } from "./theme.ts";

/** @param changed gets the text after every change. */
export function createEditor(parent: HTMLElement, compiler: Compiler, changed: (text: string) => void): EditorView {
  return new EditorView({
    parent,
    extensions: [
      basicSetup,
      javascript({ typescript: true }),
      autocompletion({ icons: false, override: [completions(compiler)] }),
      typesOnHover(compiler),
      lintGutter(),
      codeTheme,
      EditorView.contentAttributes.of({ "aria-label": "Spec, in TypeScript", tabindex: "0" }),
      EditorView.updateListener.of(({ docChanged, state }) => {
        if (docChanged) changed(state.doc.toString());
      }),
    ],
  });
}

export function replaceText(editor: EditorView, text: string): void {
  editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text } });
}
