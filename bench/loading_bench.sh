#!/usr/bin/env bash
# Copyright 2026 The Shoji Authors
# SPDX-License-Identifier: Apache-2.0
#
# Starts enclaves that serve VGG-16 and measures them; bench/README.md says how:
#   bench/loading_bench.sh --figures FILE [--network NAME]
# targets: shoji-enclave shoji-model
set -euo pipefail
cd "$(dirname "$0")/.."

figures=
network=vgg16
rounds=5
while [ $# -gt 0 ]; do
  case $1 in
    --figures) figures=$2 ;;
    --network) network=$2 ;;
    *) echo "loading_bench.sh: no option $1" >&2; exit 2 ;;
  esac
  shift 2
done
[ -n "$figures" ] || { echo "loading_bench.sh: --figures FILE is required" >&2; exit 2; }

networks=${SHOJI_NETWORKS:-build/networks}
model=$networks/$network.onnx
[ -e "$model" ] || /usr/bin/python3 bench/make_networks.py "$networks" "$network"
model=$(realpath "$model")
scratch=$(mktemp -d "${TMPDIR:-/tmp}/shoji-loading.XXXXXX")
enclave=
cleanup() {
  [ -z "$enclave" ] || kill -9 "$enclave" 2>/dev/null || true
  rm -rf "$scratch"
}
trap cleanup EXIT
openssl genpkey -algorithm ed25519 -out "$scratch/simulated.key" 2>/dev/null

# Two pictures are enough for ranges that load; nothing is inferred with them.
"$SHOJI_BUILD/bin/shoji-model" calibrate --model "$model" --preprocessing "$networks/$network.preprocessing.yaml" \
  --images models/photos --limit 2 --method minmax --output "$scratch/ranges.yaml" 2>/dev/null >"$scratch/calibrated"

write_config() { # name, segment, further policy lines
  printf 'model: %s\nsegments: [%s]\n%s\n' "$network" "$2" "${3:-}" >"$scratch/$1.policy.yaml"
  cat >"$scratch/$1.yaml" <<END
listen: {address: "unix:$scratch/enclave.sock"}
evidence: {kind: simulated, key: $scratch/simulated.key}
models: [{name: $network, file: $model, policy: $scratch/$1.policy.yaml, ranges: $scratch/ranges.yaml}]
accelerators: [{name: acc, operator: op, address: "unix:$scratch/nobody.sock"}]
END
}

# Prints, for one start: seconds until it serves, CPU seconds, resident and peak KiB then.
start_once() {
  rm -f "$scratch/address" "$scratch/enclave.sock"
  local began now
  began=$(date +%s%N)
  "$SHOJI_BUILD/bin/shoji-enclave" --config "$scratch/$1.yaml" --address-file "$scratch/address" >"$scratch/enclave.log" 2>&1 &
  enclave=$!
  until [ -s "$scratch/address" ]; do
    if ! kill -0 "$enclave" 2>/dev/null; then
      cat "$scratch/enclave.log" >&2
      return 1
    fi
    sleep 0.005
  done
  now=$(date +%s%N)
  awk -v wall="$(((now - began) / 1000000))" -v ticks="$(getconf CLK_TCK)" '
    FILENAME ~ /stat$/ { cpu = ($14 + $15) / ticks }
    $1 == "VmRSS:" { resident = $2 }
    $1 == "VmHWM:" { peak = $2 }
    END { print wall / 1000, cpu, resident, peak }' "/proc/$enclave/stat" "/proc/$enclave/status"
  kill -9 "$enclave"
  wait "$enclave" 2>/dev/null || true
  enclave=
}

# The median of each column.
median() {
  for column in 1 2 3 4; do
    sort -g -k "$column,$column" "$1" | awk -v c="$column" '{ v[NR] = $c } END { printf "%s ", v[int((NR + 1) / 2)] }'
  done
}

write_config enclave '{from: input, place: enclave}'
write_config int8 '{from: input, place: enclave, precision: int8}'
write_config blinded '{from: input, place: blinded}' 'masking: {pool: {requests: 1}}'
write_config open '{from: input, place: open}'
file_kib=$(($(stat -c %s "$model") / 1024))
cat "$model" >/dev/null # a warm page cache
for ((round = 0; round < rounds; ++round)); do
  for kind in enclave int8 blinded open; do
    start_once "$kind" >>"$scratch/$kind.measured"
  done
done
for kind in enclave int8 blinded open; do
  read -r wall cpu resident peak <<<"$(median "$scratch/$kind.measured")"
  prefix=$network.
  [ "$kind" = enclave ] || prefix=$network.${kind}_
  {
    echo "${prefix}load_seconds $wall from start to serve"
    echo "${prefix}load_cpu_seconds $cpu CPU time until then"
    echo "${prefix}resident_over_file $(awk "BEGIN { printf \"%.3f\", $resident / $file_kib }") resident memory then, over the model file's size"
    echo "${prefix}peak_over_file $(awk "BEGIN { printf \"%.3f\", $peak / $file_kib }") at most until then, likewise"
  } >>"$figures"
done
