#!/usr/bin/env bash
# Generate the Go code of the Open Inference Protocol's messages: `make proto`.
# protoc is the one that PyPI's grpcio-tools brings, so that no other is needed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh
. scripts/setup.sh

tool protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go v1.36.12
tool protoc-gen-go-grpc google.golang.org/grpc/cmd/protoc-gen-go-grpc v1.6.2
venv venv-proto scripts/proto/requirements.txt
.cache/venv-proto/bin/python -m grpc_tools.protoc -I api/inferencepb \
	--plugin=protoc-gen-go="$TOOLS/protoc-gen-go-v1.36.12" \
	--plugin=protoc-gen-go-grpc="$TOOLS/protoc-gen-go-grpc-v1.6.2" \
	--go_out=api/inferencepb --go_opt=paths=source_relative \
	--go-grpc_out=api/inferencepb --go-grpc_opt=paths=source_relative \
	open_inference.proto
