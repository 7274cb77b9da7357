export const layers = { head: };
