#!/usr/bin/env bash
# SHOJI_CUDA does what cmake/Cuda.cmake says where there is no usable toolkit:
#   cuda_option_test.sh SOURCE_DIR SCRATCH_DIR
# Prints "the option holds" when all cases come out right, and "[  FAILED  ] CASE" for each that does not.
set -u
source_dir=$1
scratch=$2
failed=0
rm -rf "$scratch"
mkdir -p "$scratch/project/cmake"
cp -r "$source_dir/cmake/Cuda.cmake" "$source_dir/cmake/cuda_probe" "$scratch/project/cmake/"
cat >"$scratch/project/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.25)
project(cuda_option LANGUAGES CXX)
include(cmake/Cuda.cmake)
message(STATUS "with CUDA: ${SHOJI_WITH_CUDA}")
EOF
# A toolkit whose compiler takes no host compiler.
cat >"$scratch/nvcc" <<'EOF'
#!/bin/sh
[ "$1" = --list-gpu-code ] && printf 'sm_75\nsm_80\nsm_90\n' && exit 0
echo "unsupported GNU version!" >&2
exit 1
EOF
chmod +x "$scratch/nvcc"

expect() { # case, succeeds|fails, nvcc, text, options...
  local name=$1 outcome=$2 nvcc=$3 text=$4 log="$scratch/$1.log" got=fails
  shift 4
  if CUDACXX=$nvcc cmake -S "$scratch/project" -B "$scratch/$name" -G Ninja "$@" >"$log" 2>&1; then
    got=succeeds
  fi
  # CMake breaks the lines of its errors.
  if [ "$got" != "$outcome" ] || ! tr -s ' \n' ' ' <"$log" | grep -qF -- "$text"; then
    tail -n 20 "$log"
    echo "[  FAILED  ] $name: configuring should have ${outcome%s}ed and said \"$text\""
    failed=1
  fi
}
expect off succeeds "$scratch/nvcc" "CUDA backend: off (SHOJI_CUDA)" -DSHOJI_CUDA=OFF
expect no_nvcc succeeds "$scratch/none" "with CUDA: FALSE"
expect no_nvcc_on fails "$scratch/none" "SHOJI_CUDA is ON, but" -DSHOJI_CUDA=ON
expect refused succeeds "$scratch/nvcc" "builds no program"
expect refused_on fails "$scratch/nvcc" "SHOJI_CUDA is ON, but" -DSHOJI_CUDA=ON
expect wrong_word fails "$scratch/nvcc" "it must be AUTO, ON or OFF" -DSHOJI_CUDA=yes
grep -q "unsupported GNU version" "$scratch/refused/cuda_probe.log" || {
  echo "[  FAILED  ] refused: the log that is named does not say why"
  failed=1
}
[ $failed -eq 0 ] && echo "the option holds"
exit $failed
