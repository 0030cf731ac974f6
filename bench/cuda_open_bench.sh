#!/usr/bin/env bash
# Copyright 2026 The Shoji Authors
# SPDX-License-Identifier: Apache-2.0
#
# Times open segments on a CUDA device; bench/README.md says how. Further options go to cuda_open_timer:
#   bench/cuda_open_bench.sh --figures FILE [--threads N] [--rounds N]
# targets: cuda_open_timer
set -euo pipefail
cd "$(dirname "$0")/.."

networks=${SHOJI_NETWORKS:-build/networks}
python=/usr/bin/python3
options=()
for network in vgg16 resnet50 efficientnet_b0; do
  model=$networks/$network.onnx
  [ -e "$model" ] || "$python" bench/make_networks.py "$networks" "$network"
  options+=(--model "$model")
done
# PyTorch is whichever python3 has it.
if python3 -c 'import onnx, torch; assert torch.cuda.is_available()' 2>/dev/null; then
  options+=(--peer "python3 bench/cuda_open_peer.py")
else
  echo "without PyTorch: no python3 with onnx and torch sees a CUDA device"
fi
"$SHOJI_BUILD/bin/cuda_open_timer" "${options[@]}" "$@"
