#!/bin/sh
# isa_objects_test.sh ARCHIVE: no object of the ring kernels that is compiled for a certain instruction set defines a
# symbol that the linker may merge with, or prefer to, another object's: code for AVX-512 would run on every CPU.
set -eu
nm "$1" | awk '
  /^[^ ]*\.o:$/ { isa = ($0 ~ /_(portable|avx)/); objects += isa }
  isa && $2 ~ /^[WVu]$/ { print "mergeable symbol " $3; bad = 1 }
  END {
    if (objects != 6) { print objects + 0 " objects of 6 found"; bad = 1 }
    exit bad
  }'
