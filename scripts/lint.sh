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
go vet -C internal/authz/oracle ./...
go vet -tags ort ./internal/onnx/ort ./internal/app
golangci_lint run --allow-parallel-runners ./...
[[ ! -e bin/libonnxruntime.so ]] || CGO_ENABLED=1 golangci_lint run --allow-parallel-runners --build-tags ort ./internal/onnx/ort/... ./internal/app/...
