// The address of the page follows the spec, and the spec the address.

import { DamagedLink, hashOf, textOf } from "./permalink.ts";
import { PRESETS } from "./presets.ts";

/**
 * @param given gets the text of the address: of the one that the page was opened with (where it has none, the first preset), and
 * of each that is put in by hand.
 * @param damaged is told why it has none that can be read, or that this is over.
 */
export function followAddress(given: (text: string) => void, damaged: (why: string | undefined) => void) {
  let current = "";

  async function read(): Promise<void> {
    if (location.hash === current && current !== "") return;
    damaged(undefined);
    try {
      given((await textOf(location.hash)) ?? PRESETS[0].text);
    } catch (thrown) {
      if (!(thrown instanceof DamagedLink)) throw thrown;
      given(PRESETS[0].text);
      damaged(thrown.message);
    }
  }

  addEventListener("hashchange", read);
  read();
  return {
    /** Writes a text into the address. */
    async put(text: string): Promise<void> {
      current = `#${await hashOf(text)}`;
      if (location.hash !== current) history.replaceState(null, "", current);
    },
  };
}
