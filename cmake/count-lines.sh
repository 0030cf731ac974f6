#!/usr/bin/env bash
# Lines of C++ that are neither blank nor only a comment: count-lines.sh ROOT PATH_PREFIX...
set -euo pipefail
cd "$1"
shift
total=0
for prefix in "$@"; do
  files=$(find "$(dirname "$prefix")" -path "$prefix*" \( -name '*.cc' -o -name '*.h' \))
  lines=$(cat $files | grep -cvE '^[[:space:]]*(//.*)?$')
  printf '%6d  %s\n' "$lines" "$prefix"
  total=$((total + lines))
done
printf '%6d  in all\n' "$total"
