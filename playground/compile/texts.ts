// In place of compiler/texts.ts, whose files a page does not have: the same texts, bundled.

const templates = import.meta.glob<string>("../../templates/{wgsl,cuda,torch}/*.{hbs,py}", {
  query: "?raw",
  import: "default",
  eager: true,
});
const language = import.meta.glob<string>("../../dsl/*.ts", { query: "?raw", import: "default", eager: true });

/** @returns the texts of `templates/<folder>/`, by file name and in the order of names. */
export function templateTexts(folder: string): ReadonlyMap<string, string> {
  return textsBelow(`../../templates/${folder}/`, templates);
}

/** @returns the types of the language: the texts of `dsl/`, by file name. */
export function languageTexts(): ReadonlyMap<string, string> {
  return textsBelow("../../dsl/", language);
}

function textsBelow(folder: string, texts: Readonly<Record<string, string>>): Map<string, string> {
  const paths = Object.keys(texts).filter((path) => path.startsWith(folder));
  return new Map(paths.sort().map((path) => [path.slice(folder.length), texts[path]!]));
}
