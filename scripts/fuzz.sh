#!/usr/bin/env bash
# Runs every fuzz target for the given time each: fuzz.sh 30s. A target that
# finds something ends the run; its input is in the package's testdata.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh
each=${1:-30s}
n=0
while read -r package target; do
	fuzz_one "$package" "$target" "$each"
	n=$((n + 1))
done < <(fuzz_targets)
((n > 0)) || { echo "no fuzz target was found" >&2; exit 1; }
echo "$n fuzz targets, $each each"
