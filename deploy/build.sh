#!/usr/bin/env bash
# Configures and builds one CMake preset: deploy/build.sh PRESET [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:?usage: deploy/build.sh PRESET [TARGET...]}
shift
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CUDA_COMPILER_LAUNCHER=ccache
  export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1  # what one clone has compiled serves another
fi
log="build/$preset-configure.log"
mkdir -p build
cmake --preset "$preset" >"$log" 2>&1 || { tail -n 30 "$log" >&2; echo "configuring failed; the whole log: $log" >&2; exit 1; }
cmake --build --preset "$preset" ${1:+--target "$@"}
