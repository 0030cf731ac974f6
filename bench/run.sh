#!/usr/bin/env bash
# Builds and runs benchmarks, prints what they found and on which machine:
#   bench/run.sh [NAME...] [--json FILE] [--data DIR]     no NAME: all of them
#   bench/run.sh --list                                   the names
# --json FILE also writes the figures as one flat JSON object; --data DIR is the evaluation data, which some benchmarks
# take models and pictures from (build/testdata, if tests/run.sh unpacked it); SHOJI_BUILD=DIR uses a folder that is
# built already.
# bench/README.md says how to add a benchmark.
set -euo pipefail

usage() { sed -n '2,7s/^# //p' "$0"; }
fail() {
  echo "bench/run.sh: $1" >&2
  exit 2
}

json=
data=
names=()
list=no
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --list) list=yes ;;
    --json)
      [ $# -ge 2 ] || fail "--json needs a FILE"
      # Relative to where the caller stands.
      json=$(realpath -m -- "$2")
      shift
      ;;
    --data)
      [ $# -ge 2 ] || fail "--data needs a DIR"
      [ -d "$2/models" ] || fail "$2 is not the evaluation data: it has no folder models"
      data=$(realpath -- "$2")
      shift
      ;;
    -*) fail "no option $1; --help lists them" ;;
    *) names+=("$1") ;;
  esac
  shift
done
cd "$(dirname "$0")/.."

known=()
for file in bench/*_bench.cc bench/*_bench.sh; do
  [ -e "$file" ] || continue
  name=$(basename "$file")
  known+=("${name%_bench.*}")
done
if [ "$list" = yes ]; then
  printf '%s\n' "${known[@]}"
  exit 0
fi
[ ${#names[@]} -gt 0 ] || names=("${known[@]}")
for name in "${names[@]}"; do
  [[ " ${known[*]} " == *" $name "* ]] || fail "no benchmark '$name'; there are: ${known[*]}"
done
if [ -n "$json" ] && ! : >>"$json"; then
  fail "cannot write $json"
fi

if [ -z "$data" ] && [ -d build/testdata/models ]; then
  data=$PWD/build/testdata
fi
if [ -n "$data" ]; then
  if [ -x "$data/unpack.sh" ] && ! compgen -G "$data/models/*.onnx" >/dev/null; then
    "$data/unpack.sh" build/testdata
    data=$PWD/build/testdata
  fi
  export SHOJI_DATA=$data
fi

# What each benchmark needs built: a program is its own target, a script names its targets in a line "# targets: ...".
targets=()
for name in "${names[@]}"; do
  if [ -e "bench/${name}_bench.cc" ]; then
    targets+=("${name}_bench")
  else
    read -r -a more <<<"$(sed -n 's/^# targets: *//p' "bench/${name}_bench.sh")"
    targets+=("${more[@]}")
  fi
done
if [ -z "${SHOJI_BUILD:-}" ]; then
  export SHOJI_BUILD=build/release
  if [ ${#targets[@]} -gt 0 ]; then
    echo "== building"
    deploy/build.sh release "${targets[@]}"
  fi
fi

version() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null || echo "unknown"; }
cached() { sed -n "s/^$1:[A-Z]*=//p" "$SHOJI_BUILD/CMakeCache.txt"; }
cpu() { sed -n "s/^$1[[:space:]]*: //p" /proc/cpuinfo | sort -u | head -n 1; }
machine() {
  echo "== the machine"
  echo "CPU        $(cpu 'model name'), $(nproc) processors for this process"
  echo "memory     $(awk '/^MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo)"
  echo "OS         $(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r)"
  echo "compiler   $("$(cached CMAKE_CXX_COMPILER)" --version | head -n 1), build type $(cached CMAKE_BUILD_TYPE)"
  echo "libraries  gRPC $(version libgrpc++-dev), oneDNN $(version libdnnl-dev), OpenSSL $(version libssl-dev)"
  echo "load       $(cut -d ' ' -f 1-3 /proc/loadavg) (1, 5, 15 minutes; before the first benchmark)"
}
[ -e "$SHOJI_BUILD/CMakeCache.txt" ] || fail "$SHOJI_BUILD is no build folder"
machine

work=$(mktemp -d "${TMPDIR:-/tmp}/shoji-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=()
: >"$work/all"
for name in "${names[@]}"; do
  echo
  echo "== $name"
  command=("$SHOJI_BUILD/bin/${name}_bench")
  [ -e "bench/${name}_bench.cc" ] || command=(bash "bench/${name}_bench.sh")
  figures=$work/$name
  : >"$figures"
  if ! "${command[@]}" --figures "$figures"; then
    failed+=("$name")
    continue
  fi
  # "subject.figure value meaning...", each name once in all benchmarks; anything else is the benchmark's mistake.
  if ! awk -v name="$name" '
      FILENAME != ARGV[ARGC - 1] { seen[$1] = 1; next }
      { ++figures }
      $1 !~ /^[a-z0-9_]+(\.[a-z0-9_]+)+$/ || $2 !~ /^-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?$/ || seen[$1]++ {
        print "bench/run.sh: not a figure, or not the first of its name, in " name ": " $0 >"/dev/stderr"; bad = 1
      }
      END {
        if (!figures) print "bench/run.sh: " name " wrote no figures" >"/dev/stderr"
        exit bad || !figures
      }' "$work/all" "$figures"; then
    failed+=("$name")
    continue
  fi
  awk '{ name = $1; value = $2; $1 = $2 = ""; sub(/^ +/, ""); printf "%-40s %12s   %s\n", name, value, $0 }' "$figures"
  cat "$figures" >>"$work/all"
done

if [ -n "$json" ]; then
  awk 'BEGIN { printf "{" } { printf "%s\n  \"%s\": %s", NR == 1 ? "" : ",", $1, $2 } END { print "\n}" }' \
    "$work/all" >"$json"
fi
if [ ${#failed[@]} -gt 0 ]; then
  echo "bench/run.sh: failed: ${failed[*]}" >&2
  exit 1
fi
