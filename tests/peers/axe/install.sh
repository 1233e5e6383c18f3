#!/bin/sh
# The rules of axe, as locked, in a cache folder outside the repository.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/sightline/axe"
cmp -s "$here/package-lock.json" "$cache/package-lock.json" && [ -e "$cache/.installed" ] && exit 0
echo "Installing the rules of axe"
mkdir -p "$cache"
rm -f "$cache/.installed"
cp "$here/package.json" "$here/package-lock.json" "$cache/"
npm ci --prefix "$cache" --silent --no-audit --no-fund --ignore-scripts
touch "$cache/.installed"
