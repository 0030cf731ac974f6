#!/usr/bin/env bash
# Copyright 2026 The Shoji Authors
# SPDX-License-Identifier: Apache-2.0
#
# Times inferences beside onnxruntime's; bench/README.md says how. Further options go to runtime_timer:
#   bench/runtime_bench.sh --figures FILE [--network NAME]... [--rounds N]
# targets: runtime_timer
set -euo pipefail
cd "$(dirname "$0")/.."

networks=${SHOJI_NETWORKS:-build/networks}
# Whose module onnxruntime-node is found: NODE_PATH, or what README's command installs.
export NODE_PATH=${NODE_PATH:+$NODE_PATH:}$PWD/build/onnxruntime/node_modules
python=/usr/bin/python3
missing=()
for network in vgg16 resnet50 mobilenet_v1 mobilenet_v2 efficientnet_b0; do
  [ -e "$networks/$network.onnx" ] || missing+=("$network")
done
if [ ${#missing[@]} -gt 0 ]; then
  if "$python" -c 'import numpy, onnx' 2>/dev/null; then
    "$python" bench/make_networks.py "$networks" "${missing[@]}"
  else
    echo "without the networks ${missing[*]}: making them needs the packages of deploy/bench-packages.txt"
  fi
fi
scratch=$(mktemp -d "${TMPDIR:-/tmp}/shoji-runtime.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
exec_options=(--networks "$networks" --script bench/onnxruntime_timer.cjs --scratch "$scratch")
[ -z "${SHOJI_DATA:-}" ] || exec_options+=(--data "$SHOJI_DATA")
"$SHOJI_BUILD/bin/runtime_timer" "${exec_options[@]}" "$@"
