#!/usr/bin/env bash
# Measures speed. Everything is compared within this run; ratios carry over to
# other machines, times do not.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== the server's CPU beside a bare TLS handler"
go run ./scripts/bench -onnxgate bin/onnxgate

echo "== the shipped model in the engine"
bin/onnxgate model bench models/iris/1/model.onnx --rows 1,16,1000

echo "== benchmarks of the packages"
go test -run '^$' -bench . -benchtime "${BENCHTIME:-300ms}" ./... | grep -E '^(Benchmark|pkg:)'
