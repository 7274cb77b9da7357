// What a worker is doing, or what it failed at, in place.

import "./status.css";
import type { Diagnostic } from "../../runtime/errors.ts";
import { element } from "../element.ts";
import type { Progress } from "./call.ts";

export interface Status {
  readonly element: HTMLElement;
  show(progress: Progress): void;
  /** A sentence, and no bar. */
  say(text: string): void;
  fail(problems: readonly Diagnostic[]): void;
}

export function createStatus(): Status {
  const text = element("span", { role: "status" });
  const bar = element("progress", { max: 1, hidden: true, "aria-label": "Progress" });
  const problems = element("div", { role: "alert" });
  return {
    element: element("div", { className: "status" }, text, bar, problems),
    show: ({ label, share }) => {
      problems.replaceChildren();
      // Only a new label, so that a screen reader is not told of every percent.
      if (text.textContent !== `${label} …`) text.textContent = `${label} …`;
      bar.hidden = false;
      if (share === undefined) bar.removeAttribute("value");
      else bar.value = share;
    },
    say: (sentence) => {
      problems.replaceChildren();
      text.textContent = sentence;
      bar.hidden = true;
    },
    fail: (all) => {
      text.textContent = "";
      bar.hidden = true;
      problems.replaceChildren(
        ...all.map(({ code, message, fix }) =>
          element(
            "p",
            { className: "problem" },
            ...(code ? [element("strong", {}, code), " "] : []),
            `${message}. `,
            element("span", { className: "fix" }, fix),
            ".",
          ),
        ),
      );
    },
  };
}
