// One half of the table of output heads on the software adapter.

import { holdSoftmaxCases } from "./softmax-table.ts";

holdSoftmaxCases(0);
