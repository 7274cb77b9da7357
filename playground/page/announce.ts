// What a screen reader says of something that happened elsewhere on the page.

import { byId } from "./by-id.ts";

export function announce(message: string): void {
  byId("announcement").textContent = message;
}
