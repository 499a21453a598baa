#!/usr/bin/env bash
# Runs every test, after setting up by itself what they need. Arguments go to
# `go test`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh
. scripts/setup.sh
setup_tests
go test "$@" ./...
go test -C internal/authz/oracle "$@" ./... # a module of its own
# The second engine, when its library and a C compiler are there.
if [[ -e bin/libonnxruntime.so || -e bin/libonnxruntime.dylib ]] && command -v gcc >/dev/null; then
	CGO_ENABLED=1 go test -tags ort "$@" ./internal/onnx/ort ./internal/app ./internal/cli
elif [[ ${CI:-} == true ]]; then
	echo "the second engine cannot be tested: its library or gcc is missing" >&2
	exit 1
fi
