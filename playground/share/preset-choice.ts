// The choice of an example, which shows none as soon as the spec is another.

import { element } from "../element.ts";
import { PRESETS } from "./presets.ts";

/** @returns a function that is told the text of the spec. */
export function createPresetChoice(choice: HTMLSelectElement, chosen: (text: string) => void): (text: string) => void {
  const own = element("option", { value: "", disabled: true, hidden: true }, "your own");
  choice.replaceChildren(own, ...PRESETS.map(({ name, title }) => element("option", { value: name }, title)));
  choice.addEventListener("change", () => chosen(PRESETS.find(({ name }) => name === choice.value)!.text));
  return (text) => {
    choice.value = PRESETS.find((preset) => preset.text === text)?.name ?? "";
  };
}
