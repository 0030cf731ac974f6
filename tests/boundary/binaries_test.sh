#!/usr/bin/env bash
# The trust boundary is visible in the built binaries: binaries_test.sh BIN_DIR CORE_ALONE
set -u
bin=$1
core_alone=$2
failed=0
symbols() { nm -C "$1" 2>/dev/null; }
needed() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }
expect_no_symbol() { # binary pattern
  if symbols "$1" | grep -Eq "$2"; then
    echo "[  FAILED  ] $(basename "$1") holds symbols of $2:"
    symbols "$1" | grep -E "$2" | head -3
    failed=1
  fi
}
expect_symbol() {
  if ! symbols "$1" | grep -Eq "$2"; then
    echo "[  FAILED  ] $(basename "$1") holds no symbol of $2: this test would find nothing"
    failed=1
  fi
}
expect_not_needed() { # binary pattern
  if needed "$1" | grep -Eq "$2"; then
    echo "[  FAILED  ] $(basename "$1") needs $(needed "$1" | grep -E "$2" | tr '\n' ' ')"
    failed=1
  fi
}
secret='\bshoji::(crypto|channel|enclave)::'
for binary in shoji-server shoji-accelerator; do
  expect_symbol "$bin/$binary" '\bshoji::rpc::'
  expect_no_symbol "$bin/$binary" "$secret"
  expect_no_symbol "$bin/$binary" '\bshoji::(attest|partition)::'
done
expect_no_symbol "$bin/shoji-server" '\bshoji::(graph|kernels|execution)::'
expect_not_needed "$bin/shoji-server" '^lib(onnx|dnnl|gomp)'
expect_no_symbol "$bin/shoji" '\bshoji::(graph|kernels|execution|partition|enclave)::'
expect_not_needed "$bin/shoji" '^lib(onnx|dnnl|gomp)'
expect_symbol "$bin/shoji-enclave" "$secret"
for binary in shoji-enclave shoji-server shoji; do
  expect_not_needed "$bin/$binary" '^libcuda'
  expect_no_symbol "$bin/$binary" '\bcuda(Malloc|Stream|Launch|Get)'  # of the static runtime
done
expect_symbol "$core_alone" '\bshoji::enclave::Enclave::Infer'
expect_no_symbol "$core_alone" '\b(grpc::|YAML::|spdlog::|cuda(Malloc|Stream|Launch|Get))'
expect_not_needed "$core_alone" '^lib(grpc|yaml-cpp|spdlog|fmt|cuda)'
[ $failed -eq 0 ] && echo "boundary holds"
exit $failed
