// What an exchange over shards costs, from 1 shard to 1024: bytes, messages, modelled times, and how often a second round is
// needed. Writes bench/results/shard-scaling.json, the tables of docs/scaling.md and its plots. Run with: npm run bench:shards

import { readFile, writeFile } from "node:fs/promises";
import { linesOf } from "./json.ts";
import { plots } from "./scaling/plots.ts";
import { type Results, scalingStudy } from "./scaling/study.ts";
import { withTables } from "./scaling/tables.ts";

const path = (relative: string) => new URL(`../${relative}`, import.meta.url);

const shards = Array.from({ length: 11 }, (_, i) => 2 ** i);
const text = `${linesOf(await scalingStudy({ shards, trials: 4000, positions: 512 }), 2)}\n`;
await writeFile(path("bench/results/shard-scaling.json"), text);
const results: Results = JSON.parse(text);
const document = path("docs/scaling.md");
await writeFile(document, withTables(await readFile(document, "utf8"), results));
for (const [name, svg] of Object.entries(await plots(results))) await writeFile(path(`docs/images/${name}`), svg);
console.log("bench/results/shard-scaling.json, docs/scaling.md and docs/images/scaling-*.svg are written");
