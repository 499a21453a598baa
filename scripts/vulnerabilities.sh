#!/usr/bin/env bash
# Looks for known vulnerabilities in what the binary calls. A database that is
# kept beside the repository is used when it is there; its answer is as of the
# date in its name. VULNDB names another.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh

kept=$(ls "${VULNDB:-../shared/data}"/govulndb-*.tgz 2>/dev/null | tail -n 1 || true)
if [[ $kept ]]; then
	dir=$PWD/.cache/$(basename "$kept" .tgz)
	if [[ ! -d $dir ]]; then
		mkdir -p "$dir.new"
		tar -xzf "$kept" -C "$dir.new"
		mv "$dir.new" "$dir"
	fi
	echo "database: $(basename "$kept" .tgz)"
	govulncheck -db "file://$dir/db" ./...
	exit
fi
if ! out=$(govulncheck ./... 2>&1); then
	if grep -qiE 'no such host|connection refused|i/o timeout|dial tcp|403|404|proxyconnect' <<<"$out"; then
		echo "known vulnerabilities were NOT checked: the database cannot be reached"
		exit 0
	fi
	echo "$out"
	exit 1
fi
echo "$out"
