#!/usr/bin/env bash
# The link rules refuse at configure time what they should, and nothing else:
#   link_rules_test.sh PATH/TO/Targets.cmake SCRATCH_DIR
# Prints "link rules hold" when all cases come out right, and "[  FAILED  ] CASE" for each that does not.
set -u
targets=$1
scratch=$2
project="$(cd "$(dirname "$0")" && pwd)/project"
failed=0
configure() { # case
  rm -rf "$scratch/$1"
  cmake -S "$project" -B "$scratch/$1" -G Ninja -DTARGETS_FILE="$targets" -DCASE="$1" >"$scratch/$1.log" 2>&1
}
mkdir -p "$scratch"
if ! configure clean; then
  cat "$scratch/clean.log"
  echo "[  FAILED  ] clean: a project that keeps the rules must configure"
  failed=1
fi
for case in direct transitive alias raw_name raw_flag raw_path by_name; do
  if configure "$case"; then
    echo "[  FAILED  ] $case: configuring should have failed"
    failed=1
  elif ! grep -q "server must not link" "$scratch/$case.log"; then
    cat "$scratch/$case.log"
    echo "[  FAILED  ] $case: configuring failed for another reason"
    failed=1
  fi
done
[ $failed -eq 0 ] && echo "link rules hold"
exit $failed
