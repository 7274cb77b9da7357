// Fails, with a diff, when the committed kernels are not what the spec compiles to.
import { goldenTest } from "hirec/testing";

goldenTest("lm-head.hire.ts");
