#!/usr/bin/env bash
# Runs the bench on a machine with a GPU, within one call of ten minutes:
#
#   bash bench/gpu/run.sh OUT [check] [bench] [decode] [-- OPTIONS of bench.py and decode.py]
#
# OUT gets a file of JSON per stage, which is whole at any time, and a log. All stages run by default. What there is no time for
# is left out and listed in the files. Needs a Python with torch and CUDA (HIREC_PYTHON names another than python3), safetensors,
# and bench/gpu/prepared, which npm run bench:gpu:prepare writes on a machine with Node.
# Exits with 1 when a check or a layer failed, with 2 for a wrong argument, with 3 when this machine cannot run it, with 124 when a
# stage was stopped because it took too long.
set -uo pipefail
cd "$(dirname "$0")/../.."

python=${HIREC_PYTHON:-python3}
total=${HIREC_BENCH_SECONDS:-570}
# For decoding, and to end what was begun.
decoding=150

[[ $# -gt 0 ]] || { sed -n '2,/^set/{/^#/p}' "$0" >&2; exit 2; }
out=$1
shift
stages=()
while [[ $# -gt 0 && $1 != -- ]]; do
  [[ $1 =~ ^(check|bench|decode)$ ]] || { echo "there is no stage $1; there are check, bench and decode" >&2; exit 2; }
  stages+=("$1")
  shift
done
[[ $# -gt 0 ]] && shift
[[ ${#stages[@]} -gt 0 ]] || stages=(check bench decode)
"$python" -c "import torch, safetensors" || { echo "install torch >= 2.6 with CUDA, and safetensors" >&2; exit 3; }

mkdir -p "$out"
stamp=$(date -u +%Y-%m-%d-%H%M)
failed=0
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

# The worst exit code of all stages is that of the whole.
stage() {
  "$@" 2>&1 | tee -a "$out/$stamp-log.txt"
  local code=${PIPESTATUS[0]}
  ((code > failed)) && failed=$code
  return 0
}

for name in "${stages[@]}"; do
  left=$((total - SECONDS))
  # To timeout, 0 is for ever.
  ((left > 0)) || left=1
  case $name in
    check)
      reference=test/fixtures/tiny-lm-reference.safetensors
      stage timeout "$left" "$python" test/gpu/torch_check.py generated/tiny-lm/torch bench/gpu/prepared/tiny-lm.pack "$reference"
      ;;
    bench)
      [[ " ${stages[*]} " != *" decode "* ]] || left=$((left > decoding ? left - decoding : 1))
      # What is begun in time may end; a card that hangs may not take the time of what comes next.
      stage timeout $((left + decoding / 2)) "$python" bench/gpu/bench.py --out "$out/$stamp-layers.json" --seconds "$left" "$@"
      ;;
    decode)
      stage timeout "$left" "$python" bench/gpu/decode.py --out "$out/$stamp-decode.json" --seconds "$left" "$@"
      ;;
  esac
done
exit "$failed"
