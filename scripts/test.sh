#!/usr/bin/env bash
# Runs every test, after setting up by itself what they need. Arguments go to
# `go test`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
setup_tests
go test "$@" ./...
