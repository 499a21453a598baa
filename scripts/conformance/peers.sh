#!/usr/bin/env bash
# Runs the conformance suite on onnxgate, and on MLServer and KServe's Python server
# from PyPI, and writes the tables of docs/conformance.md. The reports are left in
# FOLDER:
#
#   scripts/conformance/peers.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/tools.sh
out=$(mkdir -p "$1" && cd "$1" && pwd)
peers=$PWD/scripts/conformance/peers
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/conformance" ./scripts/conformance

# venv NAME makes .cache/conformance-NAME by Python 3.11, which MLServer needs.
venv() {
	local dir=$PWD/.cache/conformance-$1
	if [[ ! -e $dir/ready ]]; then
		python3.11 -m venv "$dir"
		"$dir/bin/pip" install --quiet --disable-pip-version-check -r "$peers/requirements-$1.txt"
		touch "$dir/ready"
	fi
	PATH=$dir/bin:$PATH
}

# await URL waits until the server is ready, and shows its log when it ends instead.
await() {
	for _ in {1..120}; do
		curl -skf "$1/v2/health/ready" >/dev/null && return
		kill -0 "$server" || break
		sleep 1
	done
	tail -n 5 "$work/log" >&2
	return 1
}

# measure NAME URL GRPC FLAGS… waits for the server and runs the suite on it.
measure() {
	trap 'kill "$server"' EXIT
	await "$2"
	"$work/conformance" "$2" --grpc "127.0.0.1:$3" "${@:4}" --format json \
		--model simple,iris,identity,identity_fp16 >"$out/$1.json" || [[ $? == 1 ]]
}

onnxgate() (
	go build -o "$work/onnxgate" ./cmd/onnxgate
	go run ./scripts/conformance/models "$work/onnx"
	cd "$work"
	ONNXGATE_ADDR=127.0.0.1:38443 ONNXGATE_ADMIN_ADDR=127.0.0.1:38444 ONNXGATE_GRPC_ADDR=127.0.0.1:38445 \
		ONNXGATE_MODELS_DIR=onnx ONNXGATE_RATE_PREDICT=off ONNXGATE_RATE_TOKEN=off ./onnxgate serve >"$work/log" 2>&1 &
	server=$!
	trap 'kill "$server"' EXIT
	await https://127.0.0.1:38443
	curl -sf --cacert data/tls/cert.pem -d username=admin --data-urlencode "password=$(cat data/initial-admin-password)" \
		https://localhost:38443/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/' >token
	measure onnxgate https://127.0.0.1:38443 38445 --cacert data/tls/cert.pem --token-file token --unload identity_fp16
)

# MLServer's documentation promises the repository; its metadata list no extensions.
mlserver() (
	venv mlserver
	export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$peers
	python "$peers/mlserver_models.py" "$work/models" 38080 38081 38082
	cd "$work/models"
	env mlserver start . >"$work/log" 2>&1 &
	server=$!
	measure mlserver http://127.0.0.1:38080 38081 --extension model_repository --unload iris
)

# KServe promises binary data; what was not read from its storage cannot be loaded again.
kserve() (
	venv kserve
	PYTHONDONTWRITEBYTECODE=1 python "$peers/kserve_server.py" --http_port 38180 --grpc_port 38181 >"$work/log" 2>&1 &
	server=$!
	measure kserve http://127.0.0.1:38180 38181 --extension binary_tensor_data
)

onnxgate
mlserver
kserve
"$work/conformance" --page docs/conformance.md "$out"/{onnxgate,mlserver,kserve}.json
