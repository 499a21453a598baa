# Sourced by test.sh: what tests need beside Go, one function for each need.
# Each is quick when the need is met, and says what to do when it cannot meet it.

CACHE=$PWD/.cache

# debian COMMAND=PACKAGE… installs the packages of commands that are missing,
# through root or `sudo -n`. Otherwise it prints the line to run; the tests that
# need them are skipped and say so.
debian() {
	local missing=() pair
	for pair in "$@"; do
		command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
	done
	((${#missing[@]})) || return 0
	install_packages "${missing[@]}"
}

# install_packages PACKAGE… installs packages as debian does.
install_packages() {
	local missing=("$@") as=()
	((EUID == 0)) || as=(sudo -n)
	if command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; }; then
		"${as[@]}" apt-get update -q >/dev/null &&
			DEBIAN_FRONTEND=noninteractive "${as[@]}" apt-get install -qy --no-install-recommends "${missing[@]}" >/dev/null &&
			return 0
	fi
	echo "some tests will be skipped; to run them: sudo apt-get install -y ${missing[*]}" >&2
}

# venv NAME REQUIREMENTS makes .cache/NAME with the pinned packages, again only
# when the file has changed.
venv() {
	local dir=$CACHE/$1 requirements=$2 stamp
	stamp=$(sha256sum "$requirements" | cut -d' ' -f1)
	[[ -e $dir/$stamp ]] && return 0
	debian python3=python3 || true
	if ! python3 -m venv --clear "$dir" >/dev/null 2>&1; then
		echo "some tests will be skipped; to run them: sudo apt-get install -y python3-venv" >&2
		return 0
	fi
	if "$dir/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"; then
		touch "$dir/$stamp"
	else
		echo "some tests will be skipped: pip could not install $requirements" >&2
	fi
}

# node_modules NAME installs the packages of the folder NAME (package.json and
# package-lock.json) into .cache/NAME, again only when the lock has changed.
node_modules() {
	local dir=$CACHE/$(basename "$1") stamp
	stamp=$(sha256sum "$1/package-lock.json" | cut -d' ' -f1)
	[[ -e $dir/$stamp ]] && return 0
	debian npm=npm || true
	mkdir -p "$dir"
	cp "$1/package.json" "$1/package-lock.json" "$dir"
	if (cd "$dir" && npm ci --silent --no-audit --no-fund); then
		touch "$dir/$stamp"
	else
		echo "some tests will be skipped: npm could not install $1" >&2
	fi
}

# setup_e2e: the tests against the real binary (cmd/onnxgate/e2e).
setup_e2e() {
	debian curl=curl openssl=openssl
	debian buildah=buildah setpriv=util-linux sqlite3=sqlite3 # the image, disaster recovery
	venv schemathesis scripts/schemathesis/requirements.txt # the contract
	venv mlserver scripts/oip/requirements-mlserver.txt     # clients of the Open Inference Protocol
	venv kserve scripts/oip/requirements-kserve.txt
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || debian chromium=chromium # the documentation, CORS
	debian node=nodejs
	node_modules scripts/browser
	node_modules scripts/clients # the authorization server
	/usr/bin/python3 -c 'import jwt, cryptography' 2>/dev/null || install_packages python3-jwt python3-cryptography
	node_modules scripts/oidc-provider # outside issuers
}

# setup_seal: the counterparts of sealed text and settings.
setup_seal() {
	debian age=age
	python3 -c 'import cryptography.fernet' 2>/dev/null || debian python3-cryptography=python3-cryptography
}

# setup_nodetests: ONNX's own node tests (internal/onnx/nodetests), built again
# only when their script or the packages have changed.
setup_nodetests() {
	local dir=$CACHE/nodetests stamp
	venv nodetests scripts/nodetests/requirements.txt
	stamp=$(cat scripts/nodetests/{requirements.txt,build.py} | sha256sum | cut -d' ' -f1)
	[[ -e $dir/cases/$stamp || ! -x $dir/bin/python ]] && return 0
	rm -rf "$dir/cases"
	mkdir -p "$dir/cases"
	if "$dir/bin/python" scripts/nodetests/build.py "$dir/cases"; then
		touch "$dir/cases/$stamp"
	else
		rm -f "$dir/cases/index.json"
		echo "some tests will be skipped: scripts/nodetests/build.py failed" >&2
	fi
}

# setup_zoo: exported models that the engine is compared with, one in ZOO_SHARE
# of them, drawn by ZOO_SEED; built again only when what builds them has changed.
setup_zoo() {
	local dir=${ZOO_DIR:-$CACHE/zoo} share=${ZOO_SHARE:-10} seed=${ZOO_SEED:-1} sources stamp
	sources=$(cat scripts/zoo/*.py scripts/zoo/requirements.txt | sha256sum | cut -d' ' -f1)
	stamp=$share-$seed-$sources
	# The whole zoo serves for any part of it.
	[[ -e $dir/$stamp ]] || compgen -G "$dir/1-*-$sources" >/dev/null && return 0
	venv zoo-venv scripts/zoo/requirements.txt
	[[ -x $CACHE/zoo-venv/bin/python ]] || return 0
	mkdir -p "$dir"
	rm -f "$dir"/*.onnx "$dir"/*.json "$dir"/*-*-*
	"$CACHE/zoo-venv/bin/python" -W ignore scripts/zoo/build.py "$dir" --share "$share" --seed "$seed" || return 1
	touch "$dir/$stamp"
}

# setup_ort: the second engine. Its library is taken out of the wheel.
setup_ort() {
	debian gcc=gcc
	venv onnxruntime scripts/ort/requirements.txt
	local library
	library=$(find .cache/onnxruntime -path '*/onnxruntime/capi/libonnxruntime.*' | head -n 1)
	mkdir -p bin
	case $library in
	*.dylib) cp -u "$library" bin/libonnxruntime.dylib ;;
	?*) cp -u "$library" bin/libonnxruntime.so ;;
	esac
}

# setup_postgres: the database server that tests start for themselves. Debian
# keeps its programs beside the PATH.
setup_postgres() {
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || debian initdb=postgresql
}

# setup_balancers: what replicas stand behind.
setup_balancers() {
	debian haproxy=haproxy nginx=nginx-light
}

# setup_redis: the server that tests start for themselves.
setup_redis() {
	debian redis-server=redis-server
}

# setup_prometheus: who reads the metrics, and judges the rules.
setup_prometheus() {
	debian promtool=prometheus
}

# setup_telemetry: what traces and audit records are sent to. The Collector is built
# of its own modules, again only when what names them has changed.
setup_telemetry() {
	local stamp
	debian rsyslogd=rsyslog
	compgen -G '/usr/lib/*/rsyslog/lmnsd_gtls.so' >/dev/null || install_packages rsyslog-gnutls
	stamp=$(cat scripts/otelcol/{main.go,go.mod,go.sum} | sha256sum | cut -d' ' -f1)
	[[ -e $CACHE/otelcol/$stamp ]] && return 0
	rm -rf "$CACHE/otelcol"
	mkdir -p "$CACHE/otelcol"
	if go build -C scripts/otelcol -ldflags "-s -w" -o "$CACHE/otelcol/otelcol" .; then
		touch "$CACHE/otelcol/$stamp"
	else
		echo "some tests will be skipped: the OpenTelemetry Collector could not be built" >&2
	fi
}

# setup_tests meets every need.
setup_tests() {
	setup_telemetry
	setup_prometheus
	setup_postgres
	setup_redis
	setup_balancers
	setup_e2e
	setup_seal
	setup_nodetests
	setup_ort
	setup_zoo
}
