#!/usr/bin/env bash
# Builds the libFuzzer targets with clang and runs each: tests/fuzz/run.sh [SECONDS [TARGET...]]
# A finding is left in build/fuzz/findings; mend it and add the input to tests/fuzz/corpus/<name>, where every build replays it.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(fuzz_sealed_header fuzz_sealed_request fuzz_onnx_import fuzz_policy_file fuzz_accelerator_answer fuzz_linear_layer fuzz_sgx_quote fuzz_tdx_quote fuzz_snp_report
  fuzz_collateral_json fuzz_saved_evidence)
command -v clang++ >/dev/null || { echo "needs the packages clang and libclang-rt-14-dev" >&2; exit 1; }
deploy/build.sh fuzz "${targets[@]}"
mkdir -p build/fuzz/findings
for target in "${targets[@]}"; do
  name=${target#fuzz_}
  mkdir -p "build/fuzz/corpus/$name"
  echo "== $target, $seconds s"
  "build/fuzz/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/findings/$name-" "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name" 2>&1 | tail -n 12
done
