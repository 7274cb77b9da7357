// How long a visitor waits for tiny-lm in the page: from the click to the first token, with empty caches and once more after a
// reload. Usage: npm run bench:live.

import { type DevPage, openDevSite } from "../test/browser/dev-page.ts";

const VISITS = 3;

const site = await openDevSite();
for (let visit = 1; visit <= VISITS; visit++) {
  const opened = await site.open();
  await report(`visit ${visit}, cold`, opened);
  await opened.page.reload();
  await report(`visit ${visit}, warm`, opened);
  await opened.page.context().close();
}
await site.close();

async function report(label: string, { page }: DevPage): Promise<void> {
  const begun = performance.now();
  await page.click("#live button:text('One token')");
  await page.waitForFunction(() => document.querySelector("[data-figure=tokens]")!.textContent !== "–");
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  console.log(`${label}: first token after ${seconds} s. ${await page.innerText("#live [role=status]")}`);
}
