import spec from "../examples/tiny-lm/tiny-lm.hire.ts?raw";
const worker = new Worker(new URL("compile/worker.ts", import.meta.url), { type: "module" });
worker.onmessage = ({ data }) => { document.querySelector("#out")!.textContent += JSON.stringify(data.problems ?? [...data.files.keys()]) + data.ms; };
worker.onerror = (e) => { document.querySelector("#out")!.textContent += "ERR " + e.message; };
worker.postMessage({ id: 1, text: spec, options: { targets: ["wgsl", "cuda"] } });
setTimeout(() => worker.postMessage({ id: 1, text: spec.replace("k: 32", "k: 31"), options: { targets: ["wgsl", "cuda"] } }), 5000);
