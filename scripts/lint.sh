#!/usr/bin/env bash
# Format, vet, lint.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh
unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [[ $unformatted ]]; then
	echo "not formatted; run gofmt -w on:" >&2
	echo "$unformatted" >&2
	exit 1
fi
go vet ./...
golangci_lint run --allow-parallel-runners ./...
