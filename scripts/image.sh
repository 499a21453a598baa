#!/usr/bin/env bash
# Builds the container image with docker, podman or buildah, whichever works.
#
# The image gets the tags VERSION and latest. These variables change what is
# built; each has a default:
#   VERSION            stamped into the binary and the labels (what git says)
#   IMAGE              name of the image (onnxgate)
#   IMAGE_TOOL         docker, podman or buildah
#   SOURCE_DATE_EPOCH  time of every file in the image (that of the commit), so
#                      that the same commit gives the same image, bit by bit
set -euo pipefail
cd "$(dirname "$0")/.."

name=${IMAGE:-onnxgate}
version=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo unknown)}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
tag=${version//[^A-Za-z0-9_.-]/_} # a tag allows fewer characters than a version

die() { printf 'image: %s\n' "$*" >&2; exit 1; }

# pick_tool names the first tool that can build here: a docker client without
# its daemon cannot.
pick_tool() {
	if [[ -n ${IMAGE_TOOL:-} ]]; then
		echo "$IMAGE_TOOL"
	elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then
		echo docker
	elif command -v podman >/dev/null; then
		echo podman
	elif command -v buildah >/dev/null; then
		echo buildah
	else
		die 'no docker daemon, podman or buildah here; on Debian: apt-get install --no-install-recommends buildah'
	fi
}

# ca_roots prints the roots of the distribution. The packaged ones are
# preferred to the machine's bundle, which may hold roots that were added
# locally and have no place in an image.
ca_roots() {
	local packaged=/usr/share/ca-certificates bundle
	if [[ -r /etc/ca-certificates.conf && -d $packaged/mozilla ]]; then
		# sed: a file that does not end in a line end must not join the next one.
		grep '^mozilla/' /etc/ca-certificates.conf | LC_ALL=C sort |
			while IFS= read -r file; do [[ ! -r $packaged/$file ]] || sed -e '$a\' "$packaged/$file"; done
		return
	fi
	for bundle in /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem; do
		if [[ -r $bundle ]]; then
			cat "$bundle"
			return
		fi
	done
	die 'no CA roots here; on Debian: apt-get install ca-certificates'
}

# stage lays out everything that the image will contain.
stage() {
	local root=$1/rootfs
	mkdir -p "$root/usr/bin" "$root/etc/ssl/certs" "$1/volumes/data"
	GOOS=linux make -s build VERSION="$version" OUT="$root/usr/bin/onnxgate"
	ca_roots >"$root/etc/ssl/certs/ca-certificates.crt"
	grep -q 'BEGIN CERTIFICATE' "$root/etc/ssl/certs/ca-certificates.crt" || die 'the bundle of CA roots is empty'
	echo 'onnxgate:x:65532:65532:onnxgate:/data:/sbin/nologin' >"$root/etc/passwd"
	# Explicit modes: the umask of whoever builds must not show in the image.
	find "$root" -type d -exec chmod 0755 {} +
	find "$root" -type f -exec chmod 0444 {} +
	chmod 0555 "$root/usr/bin/onnxgate"
	chmod 0700 "$1/volumes/data"
	find "$1" -exec touch -h -d "@$epoch" {} +
}

# build runs the tool over the staged context.
build() {
	local context=$1
	local args=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision"
		--tag "$name:$tag" --tag "$name:latest" --file deploy/Dockerfile)
	case $tool in
	docker)
		SOURCE_DATE_EPOCH=$epoch docker build "${args[@]}" "$context"
		;;
	podman)
		# The OCI format has no HEALTHCHECK.
		podman build --format docker --timestamp "$epoch" "${args[@]}" "$context"
		;;
	buildah)
		# Nothing runs inside the build, so it needs no privileges for isolation.
		buildah bud --isolation chroot --format docker --timestamp "$epoch" "${args[@]}" "$context"
		;;
	*) die "IMAGE_TOOL=$tool is none of docker, podman, buildah" ;;
	esac
}

tool=$(pick_tool)
context=$(mktemp -d)
trap 'chmod -R u+w "$context" && rm -rf "$context"' EXIT
stage "$context"
build "$context"
printf 'image: built %s:%s with %s\n' "$name" "$tag" "$tool"
