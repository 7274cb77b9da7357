// The results as the tables of docs/scaling.md.

import { fillPlaces, percent, significant, table } from "../markdown.ts";
import { NETWORKS } from "./networks.ts";
import { HEADS, type HeadResult, KS, MAIN, type Results, type Times } from "./study.ts";

/** The shards of tables that would be long; the results have all. */
const SHOWN = [2, 8, 64, 1024];

/** Markdown by the name of its place in the document. */
export function tables(results: Results): Record<string, string> {
  const { heads } = results;
  const main = heads.filter(({ rows, k, shards }) => rows === MAIN.rows && k === MAIN.k && shards > 1);
  const shown = <T extends { readonly shards: number }>(all: readonly T[]) =>
    all.filter(({ shards }) => SHOWN.includes(shards));
  return {
    bytes: table(
      "shards | rows sent by each | odds of a second round | ours | ours, tree | all logits f32 | bf16 | fewer than f32 | bf16",
      main.map((head) => [
        head.shards,
        head.sent,
        percent(head.odds, 3),
        kilobytes(head.bytes.flat),
        kilobytes(head.bytes.tree),
        kilobytes(head.bytes.f32),
        kilobytes(head.bytes.bf16),
        times(head.bytes.f32 / head.bytes.flat),
        times(head.bytes.bf16 / head.bytes.flat),
      ]),
    ),
    shapes: table(
      `rows | k | ${SHOWN.map((shards) => `${shards} shards`).join(" | ")} | 1024 shards, tree`,
      HEADS.map(({ rows, k }) => {
        const at = (shards: number) =>
          heads.find((head) => head.rows === rows && head.k === k && head.shards === shards)!;
        const fewer = ({ bytes }: HeadResult) => times(bytes.f32 / bytes.flat);
        const { bytes } = at(1024);
        return [rows, k, ...SHOWN.map((shards) => fewer(at(shards))), times(bytes.f32 / bytes.tree)];
      }),
    ),
    times: table(
      `shards | messages, ring | doubling or tree | ${NETWORKS.map(({ name }) => name).join(" | ")}`,
      shown(main).map((head) => [
        head.shards,
        head.messages.ring,
        head.messages.doubling,
        ...NETWORKS.map(({ name }) => microseconds(head.times[name]!)),
      ]),
    ),
    crossovers: table(
      `network | tokens at once | ${["ring", "doubling"].flatMap((flat) => KS.map((k) => `${flat}, k = ${k}`)).join(" | ")}`,
      results.crossovers.map(({ network, tokens, ring, doubling }) => [
        network,
        tokens,
        ...[...ring, ...doubling].map((shards) => shards || "never"),
      ]),
    ),
    networks: table(
      "network | µs per call | µs per step | GB/s | µs per merge | from",
      NETWORKS.map(({ name, protocols, merge, source }) => [
        name,
        protocols.map(({ call }) => call).join(" or "),
        protocols.map(({ step }) => step).join(" or "),
        protocols.map(({ bandwidth }) => significant(bandwidth / 1000, 3)).join(" or "),
        merge,
        source,
      ]),
    ),
    placements: table(
      "shards | rows sent | second round: predicted | random rows | Zipf, interleaved | contiguous | kept | recall: predicted | random rows | Zipf, interleaved | contiguous",
      shown(results.placements).map(({ shards, sent, keep, resends, recall }) => [
        shards,
        sent,
        ...[resends.predicted, resends.uniform, resends.interleaved, resends.contiguous].map((odds) =>
          percent(odds, 2),
        ),
        keep,
        ...[recall.predicted, recall.uniform, recall.interleaved, recall.contiguous].map((share) => percent(share, 2)),
      ]),
    ),
    tinyLm: table(
      "layer | shards | sent | second round: predicted | interleaved | contiguous | kept | recall: predicted | interleaved | contiguous",
      results.tinyLm.map(({ layer, shards, sent, keep, resends, recall }) => [
        layer,
        shards,
        // A feed-forward sends no rows.
        ...(layer === "head"
          ? [sent, ...[resends.predicted, resends.interleaved, resends.contiguous].map((odds) => percent(odds, 2))]
          : ["", "", "", ""]),
        keep,
        ...[recall.predicted, recall.interleaved, recall.contiguous].map((share) => percent(share, 2)),
      ]),
    ),
    ffns: table(
      `k of | shards | all-reduce | messages | an exact choice adds | recall at slack ${results.ffns[0]!.recall.map(({ slack }) => slack).join(" | ")} | slack for 99 %`,
      shown(results.ffns).map(({ rows, k, shards, reduced, scores, messages, recall, slack }) => [
        `${k} of ${rows}`,
        shards,
        kilobytes(reduced),
        messages,
        kilobytes(scores),
        ...recall.map(({ predicted, simulated }) => `${percent(predicted, 2)}, ${percent(simulated, 2)}`),
        slack.toFixed(2),
      ]),
    ),
  };
}

export function withTables(document: string, results: Results): string {
  return fillPlaces(document, tables(results));
}

function microseconds({ logits, ring, doubling, tree }: Times): string {
  return [logits, ring, doubling, tree].map((time) => significant(time, 3)).join(", ");
}

function kilobytes(bytes: number): string {
  return `${significant(bytes / 1000, 3)} KB`;
}

function times(factor: number): string {
  return `${significant(factor, 3)}×`;
}
