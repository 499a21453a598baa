#!/bin/sh
# Train the shipped model and record its golden data: the body of `make model`.
# An argument names another script of this folder to run in the same environment.
# The Python packages go into a virtual environment under .cache/, which is made
# once and again whenever requirements.txt changes.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
requirements=$root/scripts/requirements.txt
venv=$root/.cache/venv-model
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
	echo "make model: needs Python 3.11 or later; name it with PYTHON=/path/to/python3" >&2
	exit 1
fi
if ! cmp -s "$requirements" "$venv/requirements.txt"; then
	rm -rf "$venv"
	if ! "$python" -m venv "$venv"; then
		echo "make model: Python cannot make a virtual environment; try: apt-get install python3-venv" >&2
		exit 1
	fi
	"$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
		--requirement "$requirements"
	cp "$requirements" "$venv/requirements.txt"
fi
exec "$venv/bin/python" "$root/scripts/${1:-train_iris.py}" --root "$root"
