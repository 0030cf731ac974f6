#!/usr/bin/env bash
# Installs the Debian packages of LIST (deploy/apt-packages.txt) that are missing: deploy/install-packages.sh [LIST]
# Needs root, or sudo, only when one is. A package written NAME? is left out where a command NAME is there already.
set -euo pipefail
list="${1:-$(cd "$(dirname "$0")" && pwd)/apt-packages.txt}"
mapfile -t wanted < <(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$list")
missing=()
for package in "${wanted[@]}"; do
  if [[ $package == *\? ]]; then
    package=${package%\?}
    command -v "$package" >/dev/null && continue
  fi
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "installing: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "run as root, or install sudo, or install these packages first" >&2; exit 1; }
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
