// expect HIRE-SPEC-018 at 2:24: Could not resolve "./imported"
import { layers } from "./imported";

export default layers;
