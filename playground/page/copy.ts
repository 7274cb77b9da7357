// Buttons that copy, and say so.

import { announce } from "./announce.ts";

export function copyOnClick(button: HTMLButtonElement, text: () => string): void {
  const label = button.textContent!;
  button.addEventListener("click", async () => {
    const done = await navigator.clipboard.writeText(text()).then(
      () => "Copied",
      () => "The browser did not let the page copy",
    );
    button.textContent = done;
    announce(done);
    setTimeout(() => {
      button.textContent = label;
    }, 1500);
  });
}
