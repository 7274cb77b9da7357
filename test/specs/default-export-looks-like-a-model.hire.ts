// expect HIRE-SPEC-005 at 2:16: The spec's default export is not made by defineModel
export default { kind: "model" };
