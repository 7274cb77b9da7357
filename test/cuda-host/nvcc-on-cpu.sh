#!/bin/sh
# nvcc without CUDA: makes of a source an image that libcuda-on-cpu loads. It takes what hirec calls nvcc with, and serves
# the NVRTC of nvrtc-on-cpu.cpp too. An image is a line of 32 characters, then a shared library; with -fatbin it is for every
# card, as the code for it that hirec asks for is.
#
# usage: nvcc-on-cpu.sh --version
#        nvcc-on-cpu.sh -std=c++17 (-cubin | -ptx | -fatbin) (-arch=sm_90 | -gencode …)… SOURCE -o IMAGE
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
kind=sm architecture=80 source= image=
while [ $# -gt 0 ]; do
  case $1 in
    --version) echo 'Cuda compilation tools on the CPU, release 0.0, V0.0.0'; exit ;;
    -ptx | -fatbin) kind=ptx ;;
    -arch=*) architecture=${1#-arch=*_} ;;
    -gencode) shift ;;
    -o) image=$2; shift ;;
    -*) ;;
    *) source=$1 ;;
  esac
  shift
done
kernel=$(sed -n 's/^extern "C" __global__ void .* \([A-Za-z0-9_]*\)($/\1/p' "$source")
{
  echo '#include "cuda-on-cpu.h"'
  echo '#define SHARED_SECTION "cuda_shared"'
  echo 'namespace image {'
  echo "#line 1 \"$(basename "$source")\""
  cat "$source"
  echo '}'
  echo 'extern "C" __attribute__((weak, visibility("hidden"))) char __start_cuda_shared[], __stop_cuda_shared[];'
  echo 'extern "C" __attribute__((visibility("default"))) const on_cpu::Kernel cuda_image = {'
  echo "  \"$kernel\", on_cpu::parameters_of(image::$kernel), [](void* const* buffers) { on_cpu::call_with(image::$kernel, buffers); },"
  echo '  __start_cuda_shared, __stop_cuda_shared,'
  echo '};'
} > "$image.cpp"
# As nvcc says it, FILE(LINE): error: …
if ! g++ -std=c++17 -O1 -U_FORTIFY_SOURCE -ffp-contract=off -fPIC -shared -w "-I$here" "$image.cpp" \
  -L"$(dirname "$HIREC_LIBCUDA")" -l:"$(basename "$HIREC_LIBCUDA")" -o "$image.so" 2> "$image.log"; then
  sed 's/^\([^:]*\):\([0-9]*\):[0-9]*: error: /\1(\2): error: /' "$image.log" >&2
  rm -f "$image.cpp" "$image.log"
  exit 1
fi
{
  printf 'HIRECPU %-4s%-4s%-15s\n' "$kind" "$architecture" "$(wc -c < "$image.so")"
  cat "$image.so"
} > "$image"
rm -f "$image.cpp" "$image.so" "$image.log"
