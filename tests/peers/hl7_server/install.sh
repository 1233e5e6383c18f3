#!/bin/sh
# npm's simple-hl7, as locked, in a cache folder outside the repository: what the receive bench is compared with.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/sightline/hl7_server"
cmp -s "$here/package-lock.json" "$cache/package-lock.json" && [ -e "$cache/.installed" ] && exit 0
echo "Installing simple-hl7"
mkdir -p "$cache"
rm -f "$cache/.installed"
cp "$here/package.json" "$here/package-lock.json" "$cache/"
npm ci --prefix "$cache" --silent --no-audit --no-fund --ignore-scripts
touch "$cache/.installed"
