// That docs/ablations.md shows, and says, what the committed results say.

import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { MODELS } from "../../bench/ablations/models.ts";
import { plots } from "../../bench/ablations/plots.ts";
import { copyName, find, type Sample, samplesOf } from "../../bench/ablations/reading.ts";
import { readResults } from "../../bench/ablations/results.ts";
import type { Point } from "../../bench/ablations/study.ts";
import { withTables } from "../../bench/ablations/tables.ts";

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), "utf8");
const [document, all] = await Promise.all([read("docs/ablations.md"), Promise.all(MODELS.map(readResults))]);

test("the tables are those of the committed results", () => {
  expect(withTables(document, all)).toBe(document);
});

test("the plots are those of the committed results", async () => {
  for (const [name, svg] of Object.entries(await plots(all))) {
    expect(svg, name).toBe(await read(`docs/images/${name}`));
  }
});

describe("the text says of", () => {
  const text = document.replace(/\s+/g, " ");
  const [heads, ffns] = [samplesOf(all, "softmax"), samplesOf(all, "ffn")];
  const isTiny = ({ layer }: Sample) => layer.model === "tiny-lm";
  const head = heads.find(isTiny)!;
  const mlp1 = ffns.find(({ name }) => name === "tiny-lm mlp1")!;
  const [tinyFfns, randomFfns] = [ffns.filter(isTiny), ffns.filter((sample) => !isTiny(sample))];

  const percent = (share: number, digits = 1) => (100 * share).toFixed(digits);
  const bytes = ({ layer }: Sample, point: Point) => percent(point.bytes / layer.denseBytes, 0);
  /** The least and the most, as `say` writes them. */
  const range = (values: readonly number[], say: (value: number) => string) =>
    [Math.min(...values), Math.max(...values)].map(say).join(" to ");
  const compression = (sample: Sample, bits: number, times: number): Point =>
    find(sample, "compression", ({ estimator, candidates }) => {
      return copyName(estimator, sample.layer) === `${bits} bits` && candidates === Math.ceil(times * sample.layer.k);
    })!;
  const codes = (sample: Sample, bits: number): Point =>
    find(sample, "codes", ({ estimator }) => copyName(estimator, sample.layer) === `${bits} bits`)!;
  const shards = (sample: Sample, layout: string, slack: number): Point =>
    find(sample, "distributed", ({ spread }) => {
      return spread.shards === 8 && spread.layout === layout && spread.slack === slack;
    })!;
  const gates = (sample: Sample, share: number): Point => find(sample, "gates", (setting) => setting.share === share)!;
  /** Points by which both recall more than the sum of their losses lets expect, with 2 bits. */
  const interactions = (samples: readonly Sample[], shards: number, layout: string, slacks: readonly number[]) =>
    samples.flatMap(({ layer, part }) =>
      layer.interactions
        .filter(({ estimator, spread, ...each }) => {
          const isCopy = estimator.kind === "quantized" && estimator.bits === 2;
          const isSpread = spread.shards === shards && spread.layout === layout && slacks.includes(spread.slack);
          return isCopy && isSpread && each.part === part;
        })
        .map(({ interaction }) => 100 * interaction.mean),
    );

  test("compression", () => {
    const four = heads.map((each) => compression(each, 4, 2));
    expect(new Set(four.map(({ recall }) => percent(recall.mean)))).toEqual(new Set(["100.0"]));
    const read = range(
      four.map((point, i) => point.bytes / heads[i]!.layer.denseBytes),
      (share) => percent(share, 0),
    );
    expect(text).toContain(`4 bits and 2 k candidates recall 100.0 %, for ${read} % of the bytes`);
    const two = compression(head, 2, 2);
    expect(text).toContain(`on tiny-lm 2 bits and 2 k recall ${percent(two.recall.mean)} % for ${bytes(head, two)} %`);
    const worst = Math.max(...tinyFfns.map((each) => compression(each, 4, 1.5).error!.mean));
    expect(text).toContain(`Its feed-forwards are off by ${worst.toFixed(3)} at most with 4 bits and 1.5 k groups`);
    const corrected = heads.map((each) => compression(each, 4, 1).recall.mean);
    expect(text).toContain(`4 bits recall ${range(corrected, (share) => percent(share, 0))} % of a head's rows`);
    for (const sample of heads.filter(({ part }) => part === "even")) {
      expect(compression(sample, 2, 8).recall.mean).toBeLessThan(0.995);
    }
  });

  test("distributed selection", () => {
    const found = percent(shards(head, "interleaved", 2).recall.mean);
    expect(text).toContain(`on tiny-lm's head ${found} % are recalled on 8 shards at slack 2`);
    expect(text).toContain("it loses half of the rows or more");
    for (const sample of heads.filter(({ part }) => part !== "even")) {
      expect(shards(sample, "contiguous", 2).recall.mean).toBeLessThan(0.5);
    }
  });

  test("both together", () => {
    const [overlap] = interactions([head], 8, "interleaved", [1]);
    expect(text).toContain(`by ${overlap!.toFixed(0)} points on tiny-lm's head with 2 bits and 8 interleaved shards`);
    const hope = (samples: readonly Sample[], shards: number, layout: string, slacks: readonly number[]) =>
      Math.max(...interactions(samples, shards, layout, slacks).map((points) => -points)).toFixed(1);
    const random = [...heads.filter((sample) => !isTiny(sample)), ...randomFfns];
    const [own, other] = [[head], random].map((samples) => hope(samples, 8, "interleaved", [1.5, 2]));
    expect(text).toContain(`by up to ${own} points on tiny-lm's head and ${other} on random layers`);
    const few = hope(heads, 64, "interleaved", [4]);
    expect(text).toContain(`on 64 interleaved shards at slack 4 the sum is up to ${few} points too hopeful`);
    const ranges = hope(heads, 2, "contiguous", [2]);
    expect(text).toContain(
      `over two ranges of a sorted vocabulary at slack 2, where shards alone lose nothing, up to ${ranges}.`,
    );
  });

  test("others on heads", () => {
    const [wrong, less] = [4, 8].map((bits) => percent(1 - codes(head, bits).agreement.mean, 0));
    expect(text).toContain(`on ${wrong} % of tiny-lm's tokens with 4 bits and on ${less} % with 8`);
    const shortlist = (by: string) =>
      find(head, "shortlist", (setting) => setting.by === by && setting.share === 1 / 8)!;
    const [chosen, counted] = ["what is chosen", "the text's tokens"].map(shortlist);
    expect(text).toContain(
      `has ${percent(chosen!.recall.mean)} % of the best rows and ${percent(chosen!.agreement.mean)} % of the best; counted by the text's tokens instead, ${percent(counted!.recall.mean)} % and ${percent(counted!.agreement.mean)} %`,
    );
    const read = heads.map((sample) => codes(sample, 4).bytes / sample.layer.denseBytes);
    expect(text).toContain(`for what 4 bits give with ${range(read, (share) => percent(share, 0))} %`);
    for (const sample of heads) {
      const half = find(sample, "inputs", ({ share }) => share === 0.5)!;
      expect(half.recall.mean, sample.name).toBeLessThan(codes(sample, 4).recall.mean);
    }
  });

  test("others on feed-forwards", () => {
    const eight = codes(mlp1, 8);
    const [k, more, most] = [1, 1.25, 1.5].map((times) => compression(mlp1, 4, times));
    expect(text).toContain(
      `on tiny-lm's mlp1 8 bits have ${eight.error!.mean.toFixed(3)} for ${bytes(mlp1, eight)} % of the bytes, where 4 bits that are recomputed at k′ = k have ${k!.error!.mean.toFixed(2)}; with 1.25 k these have ${more!.error!.mean.toFixed(3)} for ${bytes(mlp1, more!)} %, and ${most!.error!.mean.toFixed(3)} with 1.5 k for ${bytes(mlp1, most!)} %`,
    );
    for (const sample of randomFfns.filter(({ layer }) => layer.model !== "500m")) {
      const recomputed = compression(sample, 4, 1);
      expect(recomputed.error!.mean).toBeLessThan(codes(sample, 4).error!.mean);
      expect(bytes(sample, recomputed)).toBe("14");
    }
    expect(text).toContain("it happens from about 14 % on");
    for (const sample of tinyFfns) expect(gates(sample, 0.5).error!.mean).toBeLessThan(0.0001);
    const dropped = tinyFfns.map((sample) => gates(sample, 0.25).error!.mean);
    const cost = range(dropped, (error) => String(Number(error.toPrecision(1))));
    expect(text).toContain(`and three quarters for an error of ${cost};`);
    const random = randomFfns.map((sample) => gates(sample, 0.5).error!.mean);
    expect(text).toContain(`on the random layers half cost ${range(random, (error) => error.toFixed(2))}`);
  });

  test("the whole model", () => {
    const whole = all.flatMap((results) => results.whole);
    const of = (name: string) => whole.find((each) => each.name === name)!;
    const changed = (name: string) => 1 - of(name).agreement.mean;
    const spread = [1, 1.5, 2].map((slack) => changed(`feed-forwards: 8 shards, slack ${slack}`));
    const kept = percent(changed("feed-forwards: 4 bits, k′ 24"));
    expect(text).toContain(
      `the likeliest token changes at ${range(spread, (share) => percent(share, 0))} % of tiny-lm's positions, whatever the slack; with compression alone (4 bits, 1.5 k) at ${kept} %`,
    );
    const { change } = of("head: 2 bits, k′ 64");
    expect(text).toContain(`costs ${percent(Math.exp(change.mean) - 1)} ± ${percent(change.half)} %`);
  });
});
