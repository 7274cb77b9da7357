// expect HIRE-SPEC-004 at 6:62: The spec threw: options is not defined
import { defineModel, softmax } from "hirec";

declare const options: Parameters<typeof softmax>[0];

export default defineModel("undefined-name", { head: softmax(options) });
