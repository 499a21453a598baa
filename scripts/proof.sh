#!/usr/bin/env bash
# Runs everything that is too long for each change, and writes docs/proof.md: what
# was run, how much of it, and the result. The defaults take about 50 minutes on
# two processors; before a release, or on a larger machine, ask for more:
#
#   FUZZTIME  for each fuzz target (90s)
#   RACES     how often all tests run under the race detector (2)
#   MUTANTS   how many mutated models are loaded and run (1,000,000)
#   MODELS    how many drawn models both engines run (10,000)
#   KILLS     how often a process that writes to each database is killed (1,000)
#   EXAMPLES  how many generated requests of each kind schemathesis sends to each route (500)
#   MALFORMED how many malformed requests are sent over every protocol (100,000)
#   DECISIONS how many decisions about access are compared with Rego's (250,000)
#   REQUESTS  how many requests of all kinds are compared with the audit log (1,000,000)
#   EDITS     how many random edits of an audit log are looked for (100,000)
#   SWAPS     how often a model is replaced under load (1,000)
#   ROLLING   how many predictions come through each balancer while replicas restart (100,000)
#   SEED      the number of the first of each (1): other numbers, other cases
#   ONLY      a regular expression of the proofs to run; the others keep their rows
set -uo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh
. scripts/setup.sh
export ZOO_SHARE=1 # all of it
setup_tests

fuzztime=${FUZZTIME:-90s}
races=${RACES:-2}
mutants=${MUTANTS:-1000000}
models=${MODELS:-10000}
kills=${KILLS:-1000}
decisions=${DECISIONS:-250000}
malformed=${MALFORMED:-100000}
swaps=${SWAPS:-1000}
requests=${REQUESTS:-1000000}
edits=${EDITS:-100000}
rolling=${ROLLING:-100000}
examples=${EXAMPLES:-500}
seed=${SEED:-1}
unset EXAMPLES ROLLING MUTANTS MODELS MALFORMED DECISIONS KILLS SWAPS REQUESTS EDITS SEED # which are for their own rows, and not for every test
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
page=docs/proof.md
of="$(git describe --always 2>/dev/null)"
git diff --quiet HEAD -- . ":!$page" || of+=-dirty # the page itself changes with each row
of+=", $(date -u +%F)"
bench=$log/bench # the last figures, until there are others
sed -n '/^```$/,/^```$/p' "$page" 2>/dev/null | sed '1d;$d' >"$bench"
rows=()
failed=0

# prove WHAT HOW-MUCH COMMAND… runs one proof, and writes the page. HOW-MUCH may
# name a command in its place: it is evaluated afterwards, with $out as the log.
# Without its turn a proof keeps its row.
prove() {
	local what=$1 amount=$2 out=$log/${#rows[@]} result=passed start=$SECONDS
	shift 2
	if [[ ! $what =~ ${ONLY:-} ]]; then
		rows+=("$(grep -m1 -F "| $what |" "$page" 2>/dev/null || echo "| $what | | | | not run |")")
		return
	fi
	echo "== $what"
	if ! "$@" >"$out" 2>&1; then
		result="**failed**"
		failed=1
		tail -n 30 "$out"
	fi
	[[ $what != speed ]] || cp "$out" "$bench"
	rows+=("| $what | $(eval "echo $amount") | $((SECONDS - start)) s | $of | $result |")
	write
}

# write writes the page: the rows so far, and until the last those of before whose
# turn is to come.
write() {
	local row
	printf '%s\n' "${rows[@]}" | cut -d'|' -f2 >"$log/done"
	{
		echo "# Proof"
		echo
		echo "Written by \`make proof\`: what is too long to run for each change, and of which"
		echo "commit it was run. $(go version | cut -d' ' -f3,4), $(nproc) CPUs."
		echo
		echo "| what | how much | time | of | result |"
		echo "|---|---|---|---|---|"
		printf '%s\n' "${rows[@]}"
		[[ ${1:-} == last ]] || while IFS= read -r row; do
			grep -qxF -- "$(cut -d'|' -f2 <<<"$row")" "$log/done" || printf '%s\n' "$row"
		done < <(grep -E '^\| .* \|$' "$page" 2>/dev/null | tail -n +2)
		echo
		echo "## Speed"
		echo
		echo '```'
		cat "$bench"
		echo '```'
	} >"$log/page"
	cp "$log/page" "$page"
}

# tests_in prints how many tests a log of `go test -json` says have passed.
tests_in() { grep -c '"Action":"pass".*"Test"' "$1"; }
# said_in prints what a test itself says of how much it has done.
said_in() { sed -n 's/^ *[a-z_]*\.go:[0-9]*: in all: //p' "$1" | tail -n 1; }
# all_said_in prints all of that, of tests that say several things.
all_said_in() { sed -n 's/^ *[a-z_]*\.go:[0-9]*: in all: //p' "$1" | paste -sd ';' | sed 's/;/; /g'; }
# execs_in prints how many inputs a log of fuzzing says were tried.
execs_in() { { echo 0; sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$1"; } | tail -n 1; }

export CI=true
prove "the zoo of exported models" '$(tests_in $out) tests' go test -count=1 -run TestTheZoo -json ./internal/onnx/exec
prove "what docs/exporting.md says of exports" '"as the zoo measured"' \
	.cache/zoo-venv/bin/python scripts/zoo/report.py "${ZOO_DIR:-.cache/zoo}" docs/exporting.md --check
prove "every test" '$(tests_in $out) tests' go test -count=1 -json ./...
prove "every test under the race detector" '$(tests_in $out) tests in $races rounds' go test -race -timeout 2h -skip 'Allocat|LongSteps' -count="$races" -json ./...
prove "models drawn at random answer as ONNX Runtime" '$(said_in $out)' \
	env CGO_ENABLED=1 MODELS="$models" SEED="$seed" go test -tags ort -count=1 -timeout 6h -v -run TestDrawnModelsAnswerAsONNXRuntime ./internal/onnx/ort
prove "mutated models load and run without harm" '$(said_in $out)' \
	env MUTANTS="$mutants" SEED="$seed" go test -count=1 -timeout 6h -v -run TestMutatedModelsDoNoHarm ./internal/onnx/exec
prove "every answer to generated requests is as the contract says" '$(said_in $out)' \
	env EXAMPLES="$examples" go test -count=1 -timeout 2h -v -run TestContractHoldsUnderGeneratedRequests ./cmd/onnxgate/e2e
prove "malformed requests over every protocol do no harm" '$(said_in $out)' \
	env MALFORMED="$malformed" SEED="$seed" go test -count=1 -timeout 1h -v -run TestMalformedRequestsDoNoHarm ./internal/httpapi
prove "malformed messages over gRPC do no harm" '$(said_in $out)' \
	env MALFORMED="$malformed" SEED="$seed" go test -count=1 -timeout 1h -v -run TestMalformedMessagesDoNoHarm ./internal/grpcapi
prove "a killed writer loses nothing that it acknowledged" '"$(said_in $out), on PostgreSQL; as many on SQLite"' \
	env KILLS="$kills" go test -count=1 -timeout 6h -v -run TestAKilledWriterLosesNothing ./internal/sqlstore
prove "a thousand callers at once and killed processes overrun no quota" '"$(said_in $out), on PostgreSQL; as many on SQLite"' \
	env KILLS="$kills" go test -count=1 -timeout 6h -v -run TestNothingOverrunsAQuota ./internal/sqlstore
prove "a killed rotation of the key-encryption key loses nothing" '"$(said_in $out), on PostgreSQL; as many on SQLite"' \
	env KILLS="$kills" go test -count=1 -timeout 6h -v -run TestAKilledRotationOfTheKeyEncryptionKey ./internal/sqlstore
prove "a killed rotation of the key-encryption key loses nothing of the audit log" '$(said_in $out)' \
	env KILLS="$kills" go test -count=1 -timeout 6h -v -run TestAKilledRotationLosesNothingOfTheAuditLog ./internal/app
prove "a killed rotation of the keys that sign tokens loses nothing" '$(said_in $out)' \
	env KILLS="$kills" go test -count=1 -timeout 6h -v -run TestAKilledRotationOfTheSigningKeys ./internal/sqlstore
prove "random edits of an audit log are found, and the first wrong record named" '$(all_said_in $out)' \
	env EDITS="$edits" SEED="$seed" go test -count=1 -timeout 2h -v -run TestEveryEditIsFound ./internal/audit
prove "a killed server loses no audit record that it acknowledged" '$(said_in $out)' \
	env KILLS="$kills" go test -count=1 -timeout 6h -v -run TestAKilledProcessLosesNothing ./internal/audit
prove "no request fails or mixes versions while models are swapped" '$(said_in $out)' \
	env SWAPS="$swaps" go test -count=1 -timeout 1h -v -run TestNoRequestFailsOrMixesVersions ./internal/inference
prove "no request to the server fails or is mixed while a link to models is swapped" '$(said_in $out)' \
	env SWAPS="$swaps" go test -count=1 -timeout 2h -v -run TestAModelIsSwappedUnderLoad ./cmd/onnxgate/e2e
prove "a rolling restart behind HAProxy and nginx loses no request" '$(said_in $out) behind each' \
	env ROLLING="$rolling" go test -count=1 -timeout 2h -v -run TestARollingRestartLosesNoRequest ./cmd/onnxgate/e2e
prove "every request is on record once" '$(said_in $out)' \
	env REQUESTS="$requests" go test -count=1 -timeout 3h -v -run TestEveryRequestIsOnRecordOnce ./internal/app
prove "refusals of API keys take the same time" '$(said_in $out)' \
	env TIMING=20000 go test -count=1 -v -run TestRefusalsOfAPIKeys ./internal/app
prove "decisions about access are those of a second implementation, in Rego" '$(said_in $out)' \
	env DECISIONS="$decisions" SEED="$seed" go test -C internal/authz/oracle -count=1 -timeout 1h -v ./...
while read -r package target; do
	prove "fuzzing $target (${package#onnxgate/})" '$(execs_in $out) inputs in $fuzztime' \
		fuzz_one "$package" "$target" "$fuzztime"
done < <(fuzz_targets)
prove "Fernet tokens go both ways with Python's cryptography" '$(said_in $out)' \
	env MESSAGES=10000 go test -count=1 -v -run TestPythonOpensOurTokensAndWeOpenPythons ./internal/seal
prove "refusals to decrypt cannot be told apart by their time" '$(said_in $out)' \
	env TIMING=20000 go test -count=1 -timeout 1h -v -run TestRefusalsCannotBeToldApartByTheirTime ./internal/app
prove "refused sign-ins cannot be told apart by their time" '$(said_in $out)' \
	env TIMING=20000 go test -count=1 -timeout 1h -v -run TestRefusedSignInsTakeTheSameTime ./internal/accounts
prove "no valid token is refused while keys rotate" '$(said_in $out)' \
	env ROTATIONS=1000 go test -count=1 -timeout 1h -v -run TestNoValidTokenIsRefusedWhileKeysRotate ./internal/oauth
prove "no valid token is refused by servers that share their keys while those rotate" '$(said_in $out)' \
	env ROTATIONS=100 go test -count=1 -timeout 1h -v -run TestServersFollowEachOthersSigningKeys ./cmd/onnxgate/e2e
prove "known vulnerabilities" '"govulncheck $govulncheck_version"' scripts/vulnerabilities.sh
prove "a second build is the same" '$(stat -c %s bin/onnxgate) bytes' scripts/reproduce.sh
prove "speed" '"see below"' scripts/bench.sh

write last
exit "$failed"
