#!/usr/bin/env bash
# Runs the conformance suite on MLServer and on KServe's Python server, both from
# PyPI, and leaves the reports in FOLDER:
#
#   scripts/conformance/peers.sh FOLDER [mlserver|kserve …]
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/tools.sh
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
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

# measure NAME HTTP GRPC FLAGS… waits for the server and runs the suite on it,
# with the extensions that its documentation promises and its metadata do not. KServe
# cannot load again what was not read from its storage.
measure() {
	trap 'kill "$server"' EXIT
	for _ in {1..120}; do
		curl -sf "http://127.0.0.1:$2/v2/health/ready" >/dev/null && break
		kill -0 "$server"
		sleep 1
	done
	"$work/conformance" "http://127.0.0.1:$2" --grpc "127.0.0.1:$3" "${@:4}" \
		--model simple,iris,identity,identity_fp16 --format json >"$out/$1.json" || [[ $? == 1 ]]
}

mlserver() (
	venv mlserver
	export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$peers
	python "$peers/mlserver_models.py" "$work/models" 18080 18081 18082
	cd "$work/models"
	env mlserver start . >"$work/log" 2>&1 &
	server=$!
	measure mlserver 18080 18081 --extension model_repository --unload iris
)

kserve() (
	venv kserve
	PYTHONDONTWRITEBYTECODE=1 python "$peers/kserve_server.py" --http_port 18180 --grpc_port 18181 >"$work/log" 2>&1 &
	server=$!
	measure kserve 18180 18181 --extension binary_tensor_data
)

(($#)) || set -- mlserver kserve
for peer in "$@"; do
	"$peer"
done
