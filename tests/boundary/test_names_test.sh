#!/usr/bin/env bash
# No two tests have one name, and the short forms of the long tests are there: test_names_test.sh CTEST BUILD_DIR
set -u
names=$("$1" --test-dir "$2" -N --label-exclude long | sed -n 's/^ *Test *#[0-9]*: //p')
all=$("$1" --test-dir "$2" -N | sed -n 's/^ *Test *#[0-9]*: //p')
failed=0
if [ "$(wc -l <<<"$all")" -lt 1000 ]; then
  echo "[  FAILED  ] this test would find nothing: there are few tests"
  failed=1
fi
twice=$(sort <<<"$all" | uniq -d)
if [ -n "$twice" ]; then
  echo "[  FAILED  ] tests of one name, whose labels CTest mixes:"
  head -5 <<<"$twice"
  failed=1
fi
for long in $(grep '^long\.' <<<"$all" | sed 's/^long\.//; s/ .*//' | sort -u); do
  if ! grep -q -F "$long" <<<"$names"; then
    echo "[  FAILED  ] $long has a long form and no short one"
    failed=1
  fi
done
exit $failed
