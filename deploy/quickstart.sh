#!/usr/bin/env bash
# Installs what is missing, builds, starts all four processes on this machine, sends an encrypted picture, prints what came
# back and what each party saw, and stops everything:
#   deploy/quickstart.sh [PICTURE]
# SHOJI_BIN=DIR uses binaries that are built already.
set -euo pipefail
cd "$(dirname "$0")/.."
picture=${1:-models/photos/cat.png}
model=models/cifar10_resnet

if [ -z "${SHOJI_BIN:-}" ]; then
  echo "== installing packages that are missing"
  deploy/install-packages.sh
  echo "== building (several minutes the first time)"
  deploy/build.sh release shoji-server shoji-enclave shoji-accelerator shoji shoji-model shoji-wiretap
fi
bin=${SHOJI_BIN:-build/release/bin}

# A short path: a Unix socket's path may have 107 bytes.
run=$(mktemp -d "${TMPDIR:-/tmp}/shoji.XXXXXX")
pids=()
stop() {
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    kill "${pids[$i]}" 2>/dev/null && wait "${pids[$i]}" 2>/dev/null || true
  done
  pids=()
}
finish() {
  status=$?
  stop
  if [ "$status" -ne 0 ]; then
    echo "quickstart failed; the logs:" >&2
    tail -n 20 "$run"/*.log >&2 || true
  fi
  rm -rf "$run"
}
trap finish EXIT
start() { # log-name command...
  local name=$1
  shift
  "$@" >"$run/$name.log" 2>&1 &
  pids+=($!)
}
wait_for_file() {
  for _ in $(seq 300); do
    [ -s "$1" ] && return 0
    kill -0 "${pids[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  echo "no $1 after 30 s" >&2
  return 1
}

echo "== starting an accelerator, an enclave (SIMULATED: no TEE here) and a front end, with a wiretap on every hop"
openssl genpkey -algorithm ed25519 -out "$run/simulated.key" 2>/dev/null
chmod 600 "$run/simulated.key"
openssl pkey -in "$run/simulated.key" -pubout -out "$run/simulated.pub"
cat >"$run/accelerator.yaml" <<EOF
listen: {address: "unix:accelerator.sock"}
EOF
cat >"$run/enclave.yaml" <<EOF
listen: {address: "unix:enclave.sock"}
evidence: {kind: simulated, key: simulated.key}
models:
  - name: cifar10_resnet
    file: $PWD/$model.onnx
    labels: $PWD/$model.labels.txt
    preprocessing: $PWD/$model.preprocessing.yaml
    policy: $PWD/config/policies/slalom.yaml
accelerators:
  - {name: accelerator0, operator: local, address: "unix:accelerator-tap.sock"}
EOF
cat >"$run/server.yaml" <<EOF
listen: {address: "127.0.0.1:0"}
enclaves:
  - {name: enclave0, address: "unix:enclave-tap.sock"}
EOF
start accelerator "$bin/shoji-accelerator" --config "$run/accelerator.yaml" --address-file "$run/accelerator.address"
wait_for_file "$run/accelerator.address"
start accelerator-tap "$bin/shoji-wiretap" relay --listen "unix:$run/accelerator-tap.sock" \
  --forward "unix:$run/accelerator.sock" --record "$run/accelerator-tap"
wait_for_file "$run/accelerator-tap.address"
start enclave "$bin/shoji-enclave" --config "$run/enclave.yaml" --address-file "$run/enclave.address"
wait_for_file "$run/enclave.address"
start enclave-tap "$bin/shoji-wiretap" relay --listen "unix:$run/enclave-tap.sock" \
  --forward "unix:$run/enclave.sock" --record "$run/enclave-tap"
wait_for_file "$run/enclave-tap.address"
start server "$bin/shoji-server" --config "$run/server.yaml" --address-file "$run/server.address"
wait_for_file "$run/server.address"
start client-tap "$bin/shoji-wiretap" relay --listen 127.0.0.1:0 --forward "$(cat "$run/server.address")" \
  --record "$run/client-tap"
wait_for_file "$run/client-tap.address"
server=$(cat "$run/client-tap.address")

echo
echo "== shoji-model plan: what runs where"
"$bin/shoji-model" plan --policy config/policies/slalom.yaml --model "$model.onnx"
echo
echo "== shoji infer $picture"
client=(--server "$server" --plaintext --allow-simulated --simulated-key "$run/simulated.pub" --deadline 30s)
"$bin/shoji" infer "$picture" "${client[@]}"
"$bin/shoji" infer "$picture" "${client[@]}" --output json >"$run/answer.json" 2>/dev/null
requests=$(grep -c 'status=ANSWERED' "$run/enclave.log" || true)
inside=$(grep -c 'pool_empty' "$run/enclave.log" || true)

stop
echo
echo "== what each party saw, searched for in the bytes captured just now"
"$bin/shoji-wiretap" report --picture "$picture" --preprocessing "$model.preprocessing.yaml" \
  --answer "$run/answer.json" \
  --party "front end, all its bytes=$run/client-tap,$run/enclave-tap" \
  --party "enclave, what reaches it=$run/enclave-tap" \
  --party "accelerator, all its bytes=$run/accelerator-tap"
echo
echo "The enclave opened $requests sealed requests inside, and gave the convolutions of $((requests - inside)) of them to the accelerator,"
echo "as numbers that are masked anew each time and look the same whatever the picture is. It checked every answer."
