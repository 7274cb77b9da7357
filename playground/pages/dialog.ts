// The page of an error code, over the playground.

import { byId } from "../page/by-id.ts";

export async function openPage(code: string): Promise<void> {
  const dialog = byId<HTMLDialogElement>("diagnostic-page");
  const { pageOf } = await import("./texts.ts");
  byId("diagnostic-text").innerHTML = pageOf(code) ?? `<h1>${code}</h1><p>There is no page of this code.</p>`;
  // What scrolls is within reach of the keyboard.
  for (const part of dialog.querySelectorAll<HTMLElement>("article, pre")) part.tabIndex = 0;
  dialog.showModal();
  byId("diagnostic-text").scrollTop = 0;
}

/** A click beside the page closes it, as Escape does. */
export function closeBeside(): void {
  const dialog = byId<HTMLDialogElement>("diagnostic-page");
  dialog.addEventListener("click", ({ target }) => {
    if (target === dialog) dialog.close();
  });
}
