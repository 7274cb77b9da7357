// npm run attack:certificates [-- LAYERS SEED SABOTAGE]

import { attackCertificates, type Sabotage, summary } from "./run.ts";

const [layers = "10000", seed = "1", sabotage = "none"] = process.argv.slice(2);
const started = performance.now();
const tallies = await attackCertificates({
  layers: Number(layers),
  seed: Number(seed),
  sabotage: sabotage as Sabotage,
});
console.log(summary(tallies));
const wrong = tallies.flatMap((tally) => tally.wrong);
for (const each of wrong.slice(0, 10)) console.log(each);
console.log(
  `${layers} layers, seed ${seed}, ${((performance.now() - started) / 1000).toFixed(0)} s: ${wrong.length} wrong claims`,
);
process.exitCode = wrong.length > 0 ? 1 : 0;
