#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test, under the release and the asan-ubsan build:
#   tests/run.sh [PRESET...]     the presets to run, by default: release asan-ubsan
# Long tests are left out (ctest --label-regex long runs them); under sanitizers also those of full-size networks.
# Tests that use ../shared run when it is there and say that they are skipped when it is not.
set -euo pipefail
cd "$(dirname "$0")/.."
presets=("$@")
[ ${#presets[@]} -gt 0 ] || presets=(release asan-ubsan)

deploy/install-packages.sh
deploy/install-packages.sh deploy/test-packages.txt
if [ -x ../shared/data/unpack.sh ] && [ ! -e build/testdata/README.md ]; then
  echo "== unpacking ../shared/data"
  mkdir -p build
  ../shared/data/unpack.sh build/testdata
fi

for preset in "${presets[@]}"; do
  echo "== building $preset"
  deploy/build.sh "$preset"
done
for preset in "${presets[@]}"; do
  echo "== testing $preset"
  left_out=long
  case "$preset" in asan-ubsan | tsan) left_out='long|full_size' ;; esac
  ctest --preset "$preset" --label-exclude "$left_out" --parallel 2
done
