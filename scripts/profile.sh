#!/usr/bin/env bash
# Writes cmd/onnxgate/default.pgo: where the server spends its time while it answers
# predictions, for the compiler to spend its effort there. Measured on the
# benchmark of internal/app, whose client runs in the same process.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
go test -trimpath ./internal/app -run '^$' -bench Serve -benchtime "${BENCHTIME:-10s}" -o "$out/app.test" -cpuprofile "$out/cpu.prof"
go tool pprof -proto "$out/cpu.prof" >cmd/onnxgate/default.pgo
