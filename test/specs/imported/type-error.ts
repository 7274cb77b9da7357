export const vocabulary: number[] = ["the", "of", "and", "to"];
