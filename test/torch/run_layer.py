"""Runs one layer of an emitted package, with the fake driver: run_layer.py JOB. The job is made by layers.test.ts; each result
is written as the bytes of its tensor."""

import json
import sys

import jobs
import on_cpu

job = jobs.read(sys.argv[1])
package, launches = on_cpu.load(job["folder"])
layer = jobs.loaded(package, job)
result = layer(**jobs.given(layer, job))

weights = {each.name: getattr(layer, each.name) for each in layer.plan.packed}
batches = -(-job["tokens"] // layer.plan.batch)
on_cpu.check_launches(on_cpu.program_of(job["folder"], job["layer"]), launches, weights, batches)
print(json.dumps(jobs.write(result, job)))
