// A source to read: highlighted, searchable, and with the lines of a stage marked.

import { EditorState, StateEffect, StateField } from "@codemirror/state";
import { Decoration, EditorView, lineNumbers } from "@codemirror/view";
import { minimalSetup } from "codemirror";
import type { LineRange } from "../../compiler/stage-lines.ts";
import type { Target } from "../../runtime/plan.ts";
import { codeTheme } from "../editor/theme.ts";
import { LANGUAGES } from "./languages.ts";

const markLines = StateEffect.define<LineRange>();

const marked = StateField.define({
  create: () => Decoration.none,
  update(marks, { docChanged, effects, state }) {
    for (const effect of effects) {
      if (!effect.is(markLines)) continue;
      const { first, last } = effect.value;
      const lines = Array.from({ length: last - first + 1 }, (_, i) => state.doc.line(first + i).from);
      return Decoration.set(lines.map((at) => Decoration.line({ class: "stage-line" }).range(at)));
    }
    return docChanged ? Decoration.none : marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});

export interface CodeView {
  show(source: string): void;
  /** Marks lines and scrolls to them. */
  mark(lines: LineRange): void;
  readonly source: string;
}

export function createCodeView(parent: HTMLElement, target: Target): CodeView {
  const view = new EditorView({
    parent,
    extensions: [
      lineNumbers(),
      minimalSetup,
      LANGUAGES[target],
      EditorState.readOnly.of(true),
      EditorView.contentAttributes.of({ "aria-label": "Source", "aria-readonly": "true", tabindex: "0" }),
      marked,
      codeTheme,
    ],
  });
  return {
    show(source) {
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: source }, selection: { anchor: 0 } });
      view.scrollDOM.scrollTo(0, 0);
    },
    mark(lines) {
      const at = view.state.doc.line(lines.first).from;
      view.dispatch({
        effects: [markLines.of(lines), EditorView.scrollIntoView(at, { y: "start", yMargin: 48 })],
        selection: { anchor: at },
      });
    },
    get source() {
      return view.state.doc.toString();
    },
  };
}
