// Elements of the page, in one expression.

type Tags = HTMLElementTagNameMap;

/** @param properties of the element; what has a dash in its name is an attribute. */
export function element<Tag extends keyof Tags>(
  tag: Tag,
  properties: Partial<Omit<Tags[Tag], "style">> & Readonly<Record<`${string}-${string}`, string>> = {},
  ...children: readonly (Node | string)[]
): Tags[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) made.setAttribute(name, value as string);
    else (made as unknown as Record<string, unknown>)[name] = value;
  }
  made.append(...children);
  return made;
}

/** A control and what it is called. */
export function labelled(text: string, control: HTMLElement): HTMLLabelElement {
  return element("label", {}, element("span", {}, text), control);
}
