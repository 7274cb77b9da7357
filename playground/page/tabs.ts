// A list of tabs as WAI-ARIA describes it: one is in the order of the Tab key, arrows go to the others.

import { element } from "../element.ts";

export interface Tabs {
  /** Replaces the tabs; keeps the one that is selected where it is still there. */
  set(names: readonly string[]): void;
  select(name: string): void;
  readonly selected: string;
}

/** @param panel what the tabs choose the contents of. @param chosen is told of each selection. */
export function createTabs(list: HTMLElement, panel: HTMLElement, chosen: (name: string) => void): Tabs {
  let tabs: HTMLButtonElement[] = [];
  let selected = "";

  const show = (name: string) => {
    selected = name;
    for (const tab of tabs) {
      const isSelected = tab.value === name;
      tab.setAttribute("aria-selected", String(isSelected));
      tab.tabIndex = isSelected ? 0 : -1;
      if (isSelected) panel.setAttribute("aria-labelledby", tab.id);
      if (isSelected) reveal(tab);
    }
    chosen(name);
  };

  /** Scrolls the list alone: the page stays where the visitor reads or writes. */
  const reveal = ({ offsetLeft, offsetWidth }: HTMLElement) => {
    const left = offsetLeft - list.offsetLeft;
    const most = Math.min(list.scrollLeft, left);
    list.scrollLeft = Math.max(most, left + offsetWidth - list.clientWidth);
  };

  const tabOf = (name: string) => {
    const id = `${list.id}-${name}`;
    const tab = element("button", { type: "button", role: "tab", "aria-controls": panel.id, value: name, id }, name);
    tab.addEventListener("click", () => show(name));
    return tab;
  };

  list.addEventListener("keydown", (event) => {
    const at = tabs.findIndex(({ value }) => value === selected);
    const last = tabs.length - 1;
    const next = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[
      event.key
    ];
    if (next === undefined) return;
    event.preventDefault();
    show(tabs[next]!.value);
    tabs[next]!.focus();
  });

  return {
    set(names) {
      if (names.join() !== tabs.map(({ value }) => value).join()) {
        tabs = names.map(tabOf);
        list.replaceChildren(...tabs);
      }
      show(names.includes(selected) ? selected : names[0]!);
    },
    select: show,
    get selected() {
      return selected;
    },
  };
}
