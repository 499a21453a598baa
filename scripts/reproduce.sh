#!/usr/bin/env bash
# Builds the binary twice, the second time from a copy in another folder and
# without any cache, and compares the two.
set -euo pipefail
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'chmod -R u+w "$copy"; rm -rf "$copy"' EXIT
version=reproduced
make -s build VERSION=$version
first=$(sha256sum <bin/onnxgate)
git ls-files -z | xargs -0 cp --parents -t "$copy"
GOCACHE=$copy/.gocache make -s -C "$copy" build VERSION=$version
second=$(sha256sum <"$copy/bin/onnxgate")
make -s build
if [[ $first != "$second" ]]; then
	echo "the two binaries differ: $first $second" >&2
	exit 1
fi
echo "both builds: $first"
