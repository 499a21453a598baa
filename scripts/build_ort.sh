#!/usr/bin/env bash
# Builds bin/onnxgate-ort, the server with ONNX Runtime as its second engine, and
# puts the library of PyPI's wheel beside it. Needs a C compiler and Python.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

setup_ort
[[ -e bin/libonnxruntime.so || -e bin/libonnxruntime.dylib ]] ||
	{ echo "ONNX Runtime's library is not there; name one with ONNXGATE_ORT_LIBRARY" >&2; }
CGO_ENABLED=1 go build -trimpath -buildvcs=false -tags ort,grpcnotrace -ldflags "-s -w -X main.version=${VERSION:-unknown}" -o bin/onnxgate-ort ./cmd/onnxgate
