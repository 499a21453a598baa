# Sourced by the other scripts: development tools, pinned, in .cache/bin.

TOOLS=${TOOLS:-$PWD/.cache/bin}

golangci_version=v2.15.0
govulncheck_version=v1.8.0

# tool NAME MODULE VERSION installs a tool unless that version is there.
tool() {
	local name=$1 module=$2 version=$3
	if [[ ! -x $TOOLS/$name-$version ]]; then
		echo "installing $name $version" >&2
		mkdir -p "$TOOLS"
		GOBIN=$TOOLS go install "$module@$version"
		mv "$TOOLS/$name" "$TOOLS/$name-$version"
	fi
}

golangci_lint() {
	tool golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint "$golangci_version"
	"$TOOLS/golangci-lint-$golangci_version" "$@"
}

govulncheck() {
	tool govulncheck golang.org/x/vuln/cmd/govulncheck "$govulncheck_version"
	"$TOOLS/govulncheck-$govulncheck_version" "$@"
}

# fuzz_targets prints "PACKAGE TARGET" for every fuzz target.
fuzz_targets() {
	go list -f '{{.Dir}} {{.ImportPath}} {{join .TestGoFiles " "}} {{join .XTestGoFiles " "}}' ./... |
		while read -r dir package files; do
			for file in $files; do
				sed -n "s|^func \(Fuzz[A-Za-z0-9_]*\)(.*|$package \1|p" "$dir/$file"
			done
		done
}

# fuzz_one PACKAGE TARGET TIME fuzzes one target. Go's fuzzer now and then ends
# with "context deadline exceeded" because its time is up while it works on an
# input; only an input that fails is a finding, and it is written to testdata.
fuzz_one() {
	local out code=0
	out=$(mktemp)
	go test -run '^$' -fuzz "^$2\$" -fuzztime "$3" "$1" 2>&1 | tee "$out" || code=$?
	if ((code)) && grep -q 'context deadline exceeded' "$out" && ! grep -qE 'Failing input|panic:' "$out"; then
		echo "the time was up; no input failed"
		code=0
	fi
	rm "$out"
	return "$code"
}
