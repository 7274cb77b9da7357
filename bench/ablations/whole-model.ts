// The whole of tiny-lm with its layers in other settings: what the text's own next token costs, and whether the likeliest token is
// still the same. Nothing is compiled: scores come from the packer's codes, products from the study's engine.

import { tile } from "../../compiler/tile.ts";
import { loadDecoder } from "../../examples/tiny-lm/decoder.ts";
import { heldOutTokens } from "../../examples/tiny-lm/held-out.ts";
import type { FfnResult } from "../../runtime/layer.ts";
import { type ExactLayer, exactLayer, logSumExp, tokenOf } from "../../runtime/measure/exact.ts";
import type { Product } from "../../runtime/measure/product.ts";
import { bytesOf } from "./bytes.ts";
import type { StudyLayer } from "./layer.ts";
import { runSettings, rowScores } from "./run.ts";
import type { Setting } from "./settings.ts";
import { type Mean, meanOf } from "./statistics.ts";
import { TINY_LM } from "./tiny-lm.ts";
