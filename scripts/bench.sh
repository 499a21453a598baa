#!/usr/bin/env bash
# Measures speed. Everything is compared within this run; ratios carry over to
# other machines, times do not.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
setup_redis

echo "== the server's CPU beside a bare TLS handler"
go run ./scripts/bench -onnxgate bin/onnxgate

echo "== the shipped model in the engine"
bin/onnxgate model bench models/iris/1/model.onnx --rows 1,16,1000

if scripts/build_ort.sh; then
	venv fixtures scripts/fixtures/requirements.txt
	models=.cache/bench-models
	[[ -e $models/forest-1000-depth-12.onnx && -e $models/rows.json ]] || { .cache/fixtures/bin/python scripts/bench/models.py "$models" >/dev/null; }
	for model in models/iris/1/model.onnx "$models"/*.onnx; do
		echo "== $model, beside ONNX Runtime in the same process, one thread each"
		rows=()
		[[ $model == models/* ]] || rows=(--input "$models/rows.json")
		bin/onnxgate-ort model bench "$model" --engine both "${rows[@]}" --rows "${ROWS:-1,16,1000}" --time "${ENGINETIME:-1s}"
	done
	for model in "$models"/{forest,xgboost,lightgbm}-*.onnx; do
		echo "== $model, many rows in one call on two threads, on one, and by ONNX Runtime on one"
		bin/onnxgate-ort model bench "$model" --engine both --input "$models/rows.json" --rows 1000,100000 --call-threads 1,2 --time "${ENGINETIME:-1s}"
	done
	setup_zoo
	echo "== the models of the zoo, beside ONNX Runtime in the same process, one thread each"
	python3 scripts/bench/zoo.py bin/onnxgate-ort "${ZOO_DIR:-.cache/zoo}"
else
	echo "== ONNX Runtime is not there to compare with: make build-ort says why"
fi

echo "== a prediction with 1,000 loaded models beside one (at most 1.05)"
go test -run '^$' -bench '^BenchmarkOpen$' -benchtime "${BENCHTIME:-300ms}" -count 5 ./internal/app | awk '
	/^BenchmarkOpen/ { split($1, n, "-"); if (!(n[1] in best) || $3 < best[n[1]]) best[n[1]] = $3 }
	END {
		one = best["BenchmarkOpen/models=1"]
		for (name in best) printf "%-32s %8.0f ns  %.2f\n", name, best[name], best[name] / one
	}'

echo "== predictions of two replicas on one database in a second of CPU each, beside one alone (at least 1.80)"
go test -run '^$' -bench '^BenchmarkTwoReplicas$' -benchtime "${ROUNDS:-9}x" ./cmd/onnxgate/e2e | grep '^Benchmark'

echo "== benchmarks of the packages"
go test -run '^$' -bench . -benchtime "${BENCHTIME:-300ms}" ./... | grep -E '^(Benchmark|pkg:)'
