// How a layer is spread over shards, checked.

import type { Built } from "../../dsl/index.ts";
import type { CheckedShards } from "../model.ts";
import { type Selected, spread } from "../spread.ts";
import { optionsOf, type Part, type Reader, show } from "./reader.ts";

const MAX_SHARDS = 1024;

/** Of what all shards select together, so much is to be among what one device would select. */
export const DEFAULT_RECALL = 0.999;

/** So seldom a second exchange is to be needed. */
export const DEFAULT_RESEND = 0.001;

/** @returns nothing for a layer that is whole; reports HIRE-SPEC-008 to -010, -013 to -015 and -028. */
export function checkShards(
  reader: Reader,
  layer: Built<string, unknown>,
  from: Selected,
): { readonly shards?: CheckedShards } {
  const { shards } = optionsOf(layer);
  if (shards === undefined) return {};
  const { kind, choices, selected, k } = from;
  const isNumber = typeof shards === "number";
  const part = isNumber ? undefined : reader.part(layer, "shards", "a number such as 4, or { count: 4 }");
  if (!isNumber && !part) return {};
  const count = part ? reader.count(part, "count", MAX_SHARDS) : reader.count(layer, "shards", MAX_SHARDS);
  const { layout, slack, exchange } = part ? readPart(reader, part) : DEFAULTS;
  if (part && kind === "ffn" && optionsOf(part).exchange !== undefined) {
    reader.report("HIRE-SPEC-015", "`exchange` has no meaning in a feed-forward, whose shards exchange sums alone", {
      fix: "Remove `exchange`",
      span: reader.name(part, "exchange"),
    });
  }
  if (optionsOf(layer).logSumExp === true) {
    reader.report("HIRE-SPEC-028", "`logSumExp` cannot be added up over shards yet", {
      fix: "Remove `logSumExp`, or `shards`",
      span: reader.name(layer, "logSumExp"),
    });
  }
  if (!(count > 1) || !(k <= selected) || !(selected <= choices)) return {};
  const asked = { count, layout, slack, ...(kind === "softmax" && { exchange }) };
  return { shards: spread(asked, from) };
}

const DEFAULTS = {
  layout: "interleaved",
  slack: { recall: DEFAULT_RECALL },
  exchange: { resend: DEFAULT_RESEND },
} as const;

interface Spread {
  readonly layout: CheckedShards["layout"];
  readonly slack: number | { readonly recall: number };
  readonly exchange: number | { readonly resend: number };
}

function readPart(reader: Reader, part: Part): Spread {
  const { slack, exchange } = reader.options(part, ["count", "layout", "slack", "exchange"]);
  return {
    layout: reader.choice(part, "layout", ["interleaved", "contiguous"] as const, DEFAULTS.layout),
    slack: readSlack(reader, part, slack),
    exchange: readExchange(reader, part, exchange),
  };
}

function readSlack(reader: Reader, part: Part, slack: unknown): Spread["slack"] {
  if (slack === undefined) return DEFAULTS.slack;
  if (typeof slack === "number" && slack >= 1 && slack < Number.POSITIVE_INFINITY) return slack;
  const recall = shareOf(slack, "recall");
  if (recall !== undefined && recall > 0 && recall <= 1) return { recall };
  reader.report(
    "HIRE-SPEC-010",
    `\`slack\` must be a number from 1 on, or { recall } above 0 and at most 1, not ${show(slack)}`,
    {
      fix: "Use a factor such as 1.5, or { recall: 0.999 }, from which it follows",
      span: reader.value(part, "slack"),
    },
  );
  return DEFAULTS.slack;
}

function readExchange(reader: Reader, part: Part, exchange: unknown): Spread["exchange"] {
  if (exchange === undefined) return DEFAULTS.exchange;
  if (Number.isSafeInteger(exchange) && (exchange as number) >= 1) return exchange as number;
  const resend = shareOf(exchange, "resend");
  if (resend !== undefined && resend >= 0 && resend < 1) return { resend };
  reader.report(
    "HIRE-SPEC-010",
    `\`exchange\` must be a number of rows, or { resend } from 0 to below 1, not ${show(exchange)}`,
    {
      fix: "Use a number such as 16, or { resend: 0.001 }, from which it follows",
      span: reader.value(part, "exchange"),
    },
  );
  return DEFAULTS.exchange;
}

/** The only property of an object, when it is a number and has that name. */
function shareOf(value: unknown, name: string): number | undefined {
  if (typeof value !== "object" || value === null || String(Object.keys(value)) !== name) return undefined;
  const share = (value as Record<string, unknown>)[name];
  return typeof share === "number" ? share : undefined;
}
