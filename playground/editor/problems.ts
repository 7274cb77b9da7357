// Problems of a spec: marks in the editor, and a list below it that a keyboard and a screen reader reach.

import { type Diagnostic as Mark, setDiagnostics } from "@codemirror/lint";
import type { Text } from "@codemirror/state";
import type { EditorView } from "@codemirror/view";
import type { Diagnostic } from "../../runtime/errors.ts";
import { element } from "../element.ts";

/** @param explain opens the page of a code. */
export function createProblems(editor: EditorView, list: HTMLElement, explain: (code: string) => void) {
  function explainButton(code: string): HTMLElement {
    const label = `${code}: what it means`;
    const button = element("button", { type: "button", className: "code-link", "aria-label": label }, code);
    button.addEventListener("click", () => explain(code));
    return button;
  }

  function mark(problem: Diagnostic): Mark {
    const { from, to } = placeOf(problem, editor.state.doc);
    return {
      from,
      to,
      severity: problem.severity ?? "error",
      message: `${problem.code}: ${problem.message}. ${problem.fix}`,
      renderMessage: () => element("div", { className: "problem" }, ...wordsOf(problem)),
    };
  }

  function wordsOf({ code, message, fix }: Diagnostic): Node[] {
    return [
      element("p", {}, explainButton(code), ` ${message}`),
      element("p", { className: "fix" }, element("strong", {}, "Fix: "), fix),
    ];
  }

  function item(problem: Diagnostic): HTMLElement {
    const { severity = "error", span } = problem;
    if (!span) return element("li", { className: severity }, ...wordsOf(problem));
    const go = element("button", { type: "button", className: "place" }, `Line ${span.line}`);
    go.addEventListener("click", () => {
      editor.dispatch({ selection: { anchor: placeOf(problem, editor.state.doc).from }, scrollIntoView: true });
      editor.focus();
    });
    return element("li", { className: severity }, go, ...wordsOf(problem));
  }

  return (problems: readonly Diagnostic[]) => {
    editor.dispatch(setDiagnostics(editor.state, problems.filter(({ span }) => span).map(mark)));
    list.replaceChildren(...problems.map(item));
    // The list may have moved the editor, and with it what hangs over it.
    editor.requestMeasure();
  };
}

/** The text may have changed since, so that a place is moved to where there is text. */
function placeOf({ span }: Diagnostic, text: Text): { from: number; to: number } {
  if (!span) return { from: 0, to: 0 };
  const line = text.line(Math.min(span.line, text.lines));
  const from = Math.min(line.from + span.column - 1, line.to);
  return { from, to: Math.min(from + Math.max(1, span.length), text.length) };
}
