#!/usr/bin/env bash
#
# build.sh - everything from a bare Debian 12 to a tested binary.
#
#   ./build.sh help
#
# Needs nothing but Debian's own packages.  What is missing is installed by
# name (as root, or through sudo) and named before it is installed.  After
# `fetch`, `build` works without any network.
set -eEuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export LC_ALL=C TZ=UTC DEBIAN_FRONTEND=noninteractive
unset MAKEFLAGS CFLAGS CPPFLAGS LDFLAGS GREP_OPTIONS

case $PWD in
*[[:space:]]*)
	echo "build.sh: make cannot work in a path with a space: $PWD" >&2
	exit 1
	;;
esac

HOST=$(uname -m)
JOBS=$(nproc)
TOP=$PWD

# -- packages by verb -------------------------------------------------------

# The compiler, the four libraries' sources, the generated protocol code.
PKGS_BUILD="gcc libc6-dev linux-libc-dev make dpkg-dev patch xz-utils
	protobuf-c-compiler protobuf-compiler"
PKGS_CROSS="gcc-aarch64-linux-gnu linux-libc-dev-arm64-cross"

# The glibc builds: unit tests, sanitizers, fuzzing, lint.
PKGS_UNIT="libcmocka-dev libbearssl-dev libprotobuf-c-dev libyaml-dev
	libclang-rt-14-dev clang-14 clang git procps"

# Foreign clients, servers and terminals that the integration tests use.
PKGS_INTEG="python3-pytest python3-grpcio python3-grpc-tools python3-protobuf
	python3-h2 python3-hyperframe python3-hpack python3-pexpect
	python3-cryptography python3-jwt python3-psutil python3-yaml
	nghttp2-client nghttp2-server curl openssh-client openssh-server
	openssl strace valgrind tmux expect rsync tini busybox-static file
	faketime procps util-linux iproute2 qemu-user-static podman crun
	vim-tiny less zsh fish"

# The peers of the benchmark.
PKGS_BENCH="g++ pkg-config libgrpc++-dev protobuf-compiler-grpc
	libmicrohttpd-dev"

# -- small things -----------------------------------------------------------

say()
{
	printf '== %s\n' "$*"
}

die()
{
	printf 'build.sh: %s\n' "$*" >&2
	exit 1
}

# Says why a step failed, in one line; a full disk hides behind many faces.
fail()
{
	local free

	free=$(df -Pk . | awk 'NR == 2 { print $4 }')
	if [ "${free:-9999}" -lt 1024 ]; then
		die "$1: the disk is full ($TOP has ${free} KiB left)"
	fi
	die "$@"
}

# room WHAT MIB: stops before a full disk does; apt waits for ever on one.
room()
{
	local free

	free=$(df -Pm . | awk 'NR == 2 { print $4 }')
	[ "${free:-0}" -ge "$2" ] ||
	    die "$1: the disk is full: $PWD has $free MiB left, $2 are needed"
}

# Whatever else goes wrong is at least not silent.
trap 'echo "build.sh: stopped at line $LINENO" >&2' ERR

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo -n true 2>/dev/null || [ -t 0 ] ||
		    die "need root to install packages: run as root or set up sudo"
		sudo DEBIAN_FRONTEND=noninteractive "$@"
	fi
}

missing_packages()
{
	local p

	for p; do
		dpkg-query -W -f '${db:Status-Status} ' "$p" 2>/dev/null |
		    grep -q '^installed ' || printf '%s ' "$p"
	done
}

# need WHY PACKAGE...: installs what is not there.  No network if all is.
need()
{
	local why=$1 lack log

	shift
	command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
	    die "this is not a Debian system (no apt-get): see README"
	dpkg-query -W -f '${db:Status-Status}\n' "$@" 2>/dev/null |
	    awk '$1 == "installed" { n++ } END { exit n != '$#' }' && return
	lack=$(missing_packages "$@")
	[ -n "$lack" ] || return 0
	[ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
	    die "$why needs these packages, and neither root nor sudo is here: $lack"
	say "installing for $why: $lack"
	log=$(mktemp)
	as_root apt-get update -qq >"$log" 2>&1 || :
	# shellcheck disable=SC2086
	if ! as_root apt-get install -y --no-install-recommends \
	    -o Dpkg::Use-Pty=0 $lack </dev/null >>"$log" 2>&1; then
		lack=$(grep -m1 '^E:' "$log" || tail -n 1 "$log")
		rm -f "$log"
		fail "installing packages failed: $lack"
	fi
	rm -f "$log"
}

lock()
{
	mkdir -p build || fail "cannot create build/"
	exec 9>build/.lock
	flock 9
}

# Closed, too: what is started later must not inherit the descriptor.
unlock()
{
	exec 9>&-
}

# -- fetch: Debian source packages into deps/ --------------------------------

lock_sums()
{
	awk 'NF == 2 && $1 !~ /^#/ { print $1 "  " $2 }' deps.lock
}

deps_present()
{
	lock_sums | (cd deps 2>/dev/null && sha256sum -c --status 2>/dev/null)
}

# The machine's own Debian sources, turned into source-package lists in $1.
private_lists()
{
	local suite f

	suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
	mkdir -p "$1/parts" "$1/lists/partial" "$1/cache/archives/partial"
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -f "$f" ] || continue
		awk -v s="$suite" '
		$1 ~ /^deb(-src)?$/ && $0 ~ "[ \t]" s "[ \t/-]" &&
		    / main( |$)/ { sub(/deb(-src)?/, "deb-src"); print }
		' "$f" >"$1/parts/$(basename "$f" .list).list"
	done
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -f "$f" ] || continue
		awk -v s="$suite" 'BEGIN { RS = ""; ORS = "\n\n" }
		$0 ~ "\nSuites:[^\n]*[ \t]" s && /\nComponents:[^\n]* main/ &&
		    !/\nEnabled: *no/ {
			sub(/Types:[^\n]*/, "Types: deb-src"); print
		}' "$f" >"$1/parts/$(basename "$f")"
	done
	find "$1/parts" -size 0 -delete
	[ -n "$(ls "$1/parts")" ] ||
	    die "fetch: no Debian $suite package source is configured here"
}

# fetch_pool URIS: the pinned files straight from the mirrors' pools, for when
# the index only knows a newer version.
fetch_pool()
{
	local base sum name rest pool='' got

	while read -r sum name rest; do
		case $sum in
		'#'*|'') continue ;;
		package) pool=${rest#* }; continue ;;
		esac
		got=
		for base in $1; do
			timeout 120 /usr/lib/apt/apt-helper "${apt_opts[@]}" \
			    download-file "${base%/}/$pool/$name" "$name" \
			    "SHA256:$sum" >>"$log" 2>&1 && got=1 && break
		done
		[ -n "$got" ] || return 1
	done <"$TOP/deps.lock"
}

cmd_fetch()
{
	local new=$TOP/deps/.new log wanted uris bad
	local -a apt_opts

	if deps_present; then
		say "fetch: deps/ is complete"
		return
	fi
	say "fetch: Debian sources of $(awk '$1 == "package" {
	    printf "%s %s, ", $2, $3 }' deps.lock | sed 's/, $//')"
	rm -rf "$new"
	mkdir -p "$new/apt" || fail "fetch: cannot create deps/"
	cd "$new"
	room fetch 120
	log=$new/log
	private_lists "$new/apt"
	apt_opts=(-o Dir::Etc::SourceList=/dev/null
	    -o Dir::Etc::SourceParts="$new/apt/parts"
	    -o Dir::State::Lists="$new/apt/lists"
	    -o Dir::Cache="$new/apt/cache" -o Acquire::Retries=2
	    -o APT::Sandbox::User=root -o Acquire::http::Timeout=30)
	wanted=$(awk '$1 == "package" { print $2 "=" $3 }' "$TOP/deps.lock")
	timeout 300 apt-get "${apt_opts[@]}" update >"$log" 2>&1 || :
	# shellcheck disable=SC2086
	if ! timeout 300 apt-get "${apt_opts[@]}" --only-source --download-only \
	    source $wanted >>"$log" 2>&1; then
		uris=$(apt-get "${apt_opts[@]}" indextargets \
		    --format '$(REPO_URI)' 'Created-By: Sources' \
		    2>>"$log" | sort -u) || :
		fetch_pool "$uris" || {
			cd "$TOP"
			bad=$(grep -m1 -E 'Hash Sum|Failed to fetch' "$log" ||
			    grep '^E:' "$log" | tail -n 1) || :
			fail "fetch: ${bad#[EW]: }"
		}
	fi
	cd "$TOP"
	bad=$(lock_sums | (cd "$new" && sha256sum -c --quiet 2>/dev/null) |
	    head -n 1) || :
	[ -z "$bad" ] || fail "fetch: checksum differs from deps.lock: $bad"
	lock_sums | while read -r _ bad; do
		mv -f "$new/$bad" deps/ || exit 1
	done || fail "fetch: cannot write to deps/"
	rm -rf "$new"
}

# -- the four libraries -------------------------------------------------------

# Unpacks deps/ into build/deps/src/NAME with Debian's and our patches.
unpack()
{
	local src=build/deps/src dsc name p

	rm -rf "$src"
	mkdir -p "$src"
	for dsc in $(lock_sums | awk '$2 ~ /\.dsc$/ { print $2 }'); do
		name=${dsc%%_*}
		dpkg-source --no-check --no-copy -x "deps/$dsc" "$src/$name" \
		    >"$src/log" 2>&1 ||
		    fail "build: cannot unpack $dsc: $(tail -n 1 "$src/log")"
		for p in patches/"$name"-*.patch; do
			[ -f "$p" ] || continue
			patch -s -d "$src/$name" -p1 <"$p" >"$src/log" 2>&1 ||
			    fail "build: $p does not apply"
		done
	done
}

# static_lib NAME CFLAGS... -- FILE...: compiles FILEs into $sys/lib/libNAME.a
# The same flags and order everywhere, and no dates, so the same bytes.
static_lib()
{
	local name=$1 obj=$tmp/$1
	local -a flags=()

	shift
	while [ "$1" != -- ]; do
		flags+=("$1")
		shift
	done
	shift
	mkdir -p "$obj"
	printf '%s\n' "$@" | xargs -P "$JOBS" -I{} sh -c '
		f=$1 obj=$2; shift 2
		exec "$@" -c -o "$obj/$(basename "$f" .c).o" "$f"
	' sh {} "$obj" "$cc" "${flags[@]}" "-ffile-prefix-map=$TOP=." \
	    >"$tmp/log" 2>&1 ||
	    fail "build: $name does not compile: $(grep -m1 error "$tmp/log")"
	(cd "$obj" && "${cc%gcc}ar" rcsD "$sys/lib/lib$name.a" -- *.o)
}

build_musl()
{
	mkdir -p "$tmp/musl"
	(cd "$tmp/musl" &&
	    "$src/musl/configure" --prefix="$sys" --disable-shared \
	    --disable-wrapper --target="$arch-linux-musl" CC="$cc" \
	    CROSS_COMPILE="${cc%gcc}" \
	    CFLAGS="-fPIE -ffile-prefix-map=$TOP=. $SECTIONS" &&
	    make -j"$JOBS" AR="${cc%gcc}ar" RANLIB="${cc%gcc}ranlib -D" &&
	    make install) >"$tmp/log" 2>&1 ||
	    fail "build: musl does not compile: $(grep -m1 -iE ' error|\*\*\*' "$tmp/log")"
}

# The kernel's own headers beside musl's, and nothing of glibc's.
link_kernel_headers()
{
	local inc=/usr/include asm=/usr/include/$HOST-linux-gnu/asm

	if [ "$arch" != "$HOST" ]; then
		inc=/usr/$arch-linux-gnu/include
		asm=$inc/asm
	fi
	[ -d "$inc/linux" ] && [ -d "$asm" ] ||
	    die "build: kernel headers for $arch not found in $inc"
	ln -sfn "$inc/linux" "$sys/include/linux"
	ln -sfn "$inc/asm-generic" "$sys/include/asm-generic"
	ln -sfn "$asm" "$sys/include/asm"
}

SECTIONS="-ffunction-sections -fdata-sections"
# Hardening and shape of everything but libc itself; the Makefile has its own
# copy for our code.
LIBFLAGS="-O2 -fPIE -std=gnu99 -nostdinc -fstack-protector-strong
	-ftrivial-auto-var-init=zero -fno-asynchronous-unwind-tables
	-fno-unwind-tables -w"

build_libs()
{
	local -a flags

	# shellcheck disable=SC2206
	flags=($LIBFLAGS $SECTIONS -isystem "$sys/include"
	    -isystem "$("$cc" -print-file-name=include)")
	[ "$arch" != aarch64 ] || flags+=(-mno-outline-atomics)

	# AES-NI, PCLMUL, SSE2 and 64x64->128 multiplication are compiled in
	# where the target has them and chosen at run time.
	case $arch in
	x86_64) flags+=(-DBR_AES_X86NI=1 -DBR_SSE2=1 -DBR_RDRAND=1) ;;
	esac
	static_lib bearssl "${flags[@]}" -DBR_INT128=1 -DBR_USE_URANDOM=1 \
	    -I"$src/bearssl/inc" -I"$src/bearssl/src" -- \
	    $(find "$src/bearssl/src" -name '*.c' | sort)
	cp "$src"/bearssl/inc/*.h "$sys/include/"

	static_lib protobuf-c "${flags[@]}" -I"$src/protobuf-c" -- \
	    "$src/protobuf-c/protobuf-c/protobuf-c.c"
	mkdir -p "$sys/include/protobuf-c"
	cp "$src/protobuf-c/protobuf-c/protobuf-c.h" "$sys/include/protobuf-c/"

	mkdir -p "$tmp/yaml-config"
	printf '#define YAML_VERSION_%s\n' 'MAJOR 0' 'MINOR 2' 'PATCH 5' \
	    'STRING "0.2.5"' >"$tmp/yaml-config/config.h"
	# Read once, at start-up.
	static_lib yaml "${flags[@]}" -Os -DHAVE_CONFIG_H -I"$tmp/yaml-config" \
	    -I"$src/libyaml/include" -- \
	    "$src"/libyaml/src/{api,parser,reader,scanner}.c
	cp "$src/libyaml/include/yaml.h" "$sys/include/"
}

collect_notices()
{
	local f

	printf '%s\n' "k8shell is made of its own code and parts of musl," \
	    "BearSSL, protobuf-c and libyaml.  Their notices follow."
	for f in LICENSE build/deps/src/{musl/COPYRIGHT,bearssl/LICENSE.txt} \
	    build/deps/src/{protobuf-c/LICENSE,libyaml/License}; do
		printf '\n---- %s ----\n\n' "${f#build/deps/src/}"
		cat "$f"
	done
}

# build_deps ARCH: nothing to do while sources, patches, flags and compiler
# are what they were.
build_deps()
{
	local arch=$1 cc=gcc src=$TOP/build/deps/src key
	local final=$TOP/build/deps/$arch sys=$TOP/build/deps/$arch.new tmp

	[ "$arch" = "$HOST" ] || cc=$arch-linux-gnu-gcc
	key=$( { cat deps.lock patches/* LICENSE
	    declare -f unpack static_lib build_musl build_libs collect_notices
	    echo "$SECTIONS $LIBFLAGS"
	    "$cc" --version; } | sha256sum)
	[ "$(cat "$final/.key" 2>/dev/null)" != "$key" ] || return 0

	room build 200
	deps_present || cmd_fetch
	say "build: musl, bearssl, protobuf-c, libyaml for $arch (once)"
	tmp=$TOP/build/deps/tmp.$arch
	rm -rf "$sys" "$tmp"
	mkdir -p "$sys/lib" "$sys/include" "$tmp" ||
	    fail "build: cannot create $sys"
	unpack
	build_musl
	link_kernel_headers
	build_libs
	collect_notices >"$sys/NOTICES.txt"
	echo "$key" >"$sys/.key" || fail "build: cannot write to $sys"
	rm -rf "$final" "$tmp"
	mv "$sys" "$final"
}

# -- verbs ----------------------------------------------------------------------

run_make()
{
	make -j"$JOBS" --no-print-directory "$@" || fail "build: make $1 failed"
}

cmd_build()
{
	local arch=$HOST goal=release

	while [ $# -gt 0 ]; do
		case $1 in
		conformance) goal=conformance ;;
		--arch) arch=${2:?--arch needs a name}; shift ;;
		--arch=*) arch=${1#*=} ;;
		*) die "build: unknown argument $1 (see ./build.sh help)" ;;
		esac
		shift
	done
	case $arch in
	arm64) arch=aarch64 ;;
	amd64) arch=x86_64 ;;
	esac
	[ "$arch" = "$HOST" ] || [ "$arch" = aarch64 ] ||
	    die "build: cannot build for $arch on $HOST"
	# shellcheck disable=SC2086
	need "building" $PKGS_BUILD
	# shellcheck disable=SC2086
	[ "$arch" = "$HOST" ] || need "building for $arch" $PKGS_CROSS
	lock
	build_deps "$arch"
	cmp -s "build/deps/$arch/NOTICES.txt" build/NOTICES.txt ||
	    cp "build/deps/$arch/NOTICES.txt" build/NOTICES.txt
	say "build: $goal for $arch"
	run_make "$goal" ARCH="$arch"
	unlock
}

cmd_try()
{
	cmd_build
	[ -x tests/try.sh ] || die "try: tests/try.sh is not here yet"
	exec tests/try.sh "$@"
}

# grpc-js, the second foreign gRPC stack, from the npm registry that this
# machine is configured for; the lock file pins what is inside.
node_modules()
{
	local from=tests/integ/node

	[ -f "$from/package.json" ] || return 0
	if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
		need "the second gRPC client" nodejs npm
	fi
	mkdir -p build/node
	if cmp -s "$from/package-lock.json" build/node/.installed; then
		return 0
	fi
	say "test: installing grpc-js into build/node"
	cp "$from/package.json" "$from/package-lock.json" build/node/
	if ! (cd build/node && npm ci --ignore-scripts --no-audit --no-fund \
	    --loglevel=error) >build/node/log 2>&1; then
		say "test: npm could not install grpc-js, its tests will be" \
		    "skipped: $(grep -m1 -i 'err' build/node/log)"
		return 0
	fi
	cp "$from/package-lock.json" build/node/.installed
}

# Folder with the seeds of one target: its text files from tests/fuzz/corpus
# and what its seeds_*.py writes, since binary files are not committed.
seeds_of()
{
	local dir=build/fuzz/seeds/$1

	mkdir -p "$dir"
	if [ -d "tests/fuzz/corpus/$1" ]; then
		cp tests/fuzz/corpus/"$1"/* "$dir/"
	fi
	if [ -f "tests/fuzz/seeds_$1.py" ]; then
		/usr/bin/python3 "tests/fuzz/seeds_$1.py" "$dir" >&2
	fi
	echo "$dir"
}

replay_corpora()
{
	local f name dir

	for f in tests/fuzz/fuzz_*.c; do
		[ -f "$f" ] || continue
		name=$(basename "$f" .c)
		dir=$(seeds_of "${name#fuzz_}")
		"build/fuzz/$name" -runs=0 "$dir" \
		    >"build/fuzz/$name.log" 2>&1 || {
			tail -n 30 "build/fuzz/$name.log" >&2
			return 1
		}
		echo "ok   $name: $(find "$dir" -type f | wc -l) inputs"
	done
}

step()
{
	say "test: $1"
	shift
	"$@" || { bad=1; printf 'FAILED: %s\n' "$*" >&2; }
}

# A test waits more than it works, so two files run at a time: each with
# processes and a /home of its own, where the other's can't be seen.  One after
# the other where there are no such namespaces.
integ_pairs()
{
	local alone='mount -t tmpfs none /home && exec "$@"' bad=0
	local dir=build/integ

	if ! unshare -p -f -m --mount-proc sh -c "$alone" sh true 2>/dev/null
	then
		/usr/bin/python3 -m pytest tests/integ -q "$@"
		return
	fi
	rm -rf "$dir"
	mkdir -p "$dir"
	# What all of them share is made once, before.
	PYTHONPATH=tests/integ /usr/bin/python3 -c 'import harness'
	# The large ones first: the last one is then a short one.
	ls -S tests/integ/test_*.py | xargs -P 2 -I FILE sh -c '
		log=$1/$(basename FILE).log
		unshare -p -f -m --mount-proc sh -c "$2" sh \
		    /usr/bin/python3 -m pytest -q -p no:cacheprovider $3 FILE \
		    >"$log" 2>&1 </dev/null || echo "$log" >>"$1/failed"
		echo "FILE: $(tail -n 1 "$log")"
		' sh "$dir" "$alone" "$*"
	if [ -e "$dir/failed" ]; then
		bad=1
		xargs cat <"$dir/failed"
	fi
	tail -qn 1 "$dir"/*.log | grep -oE '[0-9]+ (passed|failed|skipped|error)' |
	    awk '{ n[$2] += $1 } END { printf "%d passed, %d failed, %d skipped\n",
	    n["passed"], n["failed"] + n["error"], n["skipped"] }'
	return $bad
}

cmd_test()
{
	local bad=0 rc=0 only=

	case ${1-} in
	unit) only=unit; shift ;;
	esac
	# shellcheck disable=SC2086
	need "the unit tests" $PKGS_UNIT
	cmd_build
	lock
	step "unit tests (ASan, UBSan)" make -j"$JOBS" --no-print-directory unit
	step "lint" make --no-print-directory lint
	step "fuzz targets" make -j"$JOBS" --no-print-directory fuzz
	step "fuzz corpora, replayed" replay_corpora
	unlock
	if [ "$only" = unit ]; then
		[ $bad = 0 ] || die "test: failures above"
		say "test: unit tests, lint and corpora passed"
		return
	fi
	# shellcheck disable=SC2086
	need "the integration tests" $PKGS_INTEG $PKGS_CROSS
	node_modules
	cmd_build conformance
	cmd_build --arch aarch64
	lock
	step "whole program for sanitizers and valgrind" \
	    make -j"$JOBS" --no-print-directory san dbg
	unlock
	[ $bad = 0 ] ||
	    printf 'build.sh: unit, lint or fuzz steps failed, see above\n' >&2
	say "test: integration (pytest)"
	case "$*" in
	'' | --long) integ_pairs "$@" || rc=$? ;;
	*) /usr/bin/python3 -m pytest tests/integ -q "$@" || rc=$? ;;
	esac
	[ $rc != 0 ] || rc=$bad
	exit $rc
}

cmd_bench()
{
	# shellcheck disable=SC2086
	need "the benchmark" $PKGS_UNIT $PKGS_INTEG $PKGS_BENCH
	cmd_build
	[ -x tests/bench/run ] || die "bench: tests/bench/run is not here yet"
	exec tests/bench/run "$@"
}

cmd_fuzz()
{
	local secs=${1:-60} f name

	# shellcheck disable=SC2086
	need "fuzzing" $PKGS_UNIT
	cmd_build
	make -j"$JOBS" --no-print-directory fuzz
	for f in tests/fuzz/fuzz_*.c; do
		[ -f "$f" ] || die "fuzz: no targets yet"
		name=$(basename "$f" .c)
		mkdir -p "build/fuzz/corpus/$name"
		say "fuzz: $name for $secs s"
		"build/fuzz/$name" -max_total_time="$secs" -timeout=10 \
		    -rss_limit_mb=1024 -print_final_stats=1 \
		    -artifact_prefix="build/fuzz/$name-" \
		    "build/fuzz/corpus/$name" \
		    "$(seeds_of "${name#fuzz_}")" \
		    >"build/fuzz/$name.log" 2>&1 || {
			tail -n 40 "build/fuzz/$name.log" >&2
			die "fuzz: $name found something, see build/fuzz/"
		}
		grep -E '^stat::(number_of_executed|peak_rss)' \
		    "build/fuzz/$name.log" || :
	done
}

cmd_clean()
{
	say "clean: removing build/ (deps/ stays)"
	rm -rf build
}

usage()
{
	cat <<'TEXT'
usage: ./build.sh VERB

  fetch                        Debian source packages into deps/ (the only step
                               that needs a network, packages aside)
  build [--arch aarch64]       build/k8shell: static, stripped, one file
  build conformance            build/k8shell-conformance: for HTTP/2 test suites
  try                          build, start a daemon, open a shell in it
  test [--long] [pytest args]  unit tests, lint, fuzz corpora, integration tests
  test unit                    only what needs no daemon
  bench                        ours against peers from Debian, as ratios
  fuzz [SECONDS]               each fuzz target for SECONDS (60)
  clean                        removes build/
  help                         this text
TEXT
}

verb=${1-help}
[ $# = 0 ] || shift
case $verb in
fetch)
	# shellcheck disable=SC2086
	need "fetching" $PKGS_BUILD
	lock
	cmd_fetch
	;;
build|try|test|bench|fuzz|clean) "cmd_$verb" "$@" ;;
help|-h|--help) usage ;;
*)
	usage >&2
	exit 2
	;;
esac
