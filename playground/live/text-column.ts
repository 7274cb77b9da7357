// One of the two texts. A token that the other column does not have is marked, by a line and a sign and not by colour alone.

import { element } from "../element.ts";

export interface TextColumn {
  readonly element: HTMLElement;
  begin(prompt: string): void;
  /** @param other what the other column has in its place, where that is something else. */
  add(piece: string, other?: string): void;
}

export function createTextColumn(id: string, title: string, subtitle: string): TextColumn {
  const text = element("p", { className: "text", tabIndex: 0, role: "region", "aria-labelledby": id });
  const section = element(
    "div",
    { className: "column" },
    element("h3", { id }, title),
    element("p", { className: "notes" }, subtitle),
    text,
  );
  return {
    element: section,
    begin: (prompt) => text.replaceChildren(element("span", { className: "prompt" }, prompt)),
    add: (piece, other) => {
      // Space before a word stays outside, where a line may break.
      const word = piece.trimStart();
      text.append(piece.slice(0, piece.length - word.length));
      if (other === undefined) text.append(word);
      else text.append(element("mark", { title: `The other column has ${quoted(other)} here` }, word || "␣"));
      text.scrollTop = text.scrollHeight;
    },
  };
}

/** With signs for what could not be seen. */
export function quoted(piece: string): string {
  return `“${piece.replaceAll("\n", "↵")}”`;
}
