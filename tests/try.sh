#!/bin/sh
# A daemon of one's own in a private run directory, and a shell in it.  With no
# terminal: a short scripted tour.  Leaves no process and no file behind.
#
# Usage: tests/try.sh [BUILD-DIR]
set -eu

build=${1:-$(dirname "$0")/../build}
dir=$(mktemp -d "${TMPDIR:-/tmp}/k8shell-try.XXXXXX")
pid= shell= before=

clean_up() {
	trap - EXIT INT TERM HUP
	for p in $shell $pid; do
		kill "$p" 2>/dev/null || :
		wait "$p" 2>/dev/null || :
	done
	rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The logs of the tour's jobs stay in its own home.
if [ ! -t 0 ] || [ ! -t 1 ]; then
	HOME=$dir/home
	mkdir -m 700 "$HOME"
	export HOME
fi

"$build/k8shelld" --standalone --run-dir "$dir/run" >"$dir/log" 2>&1 </dev/null &
pid=$!

i=0
until grep -qs 'serving gRPC on' "$dir/log"; do
	i=$((i + 1))
	if [ "$i" -gt 200 ] || ! kill -0 "$pid" 2>/dev/null; then
		echo "try: the daemon did not come up:" >&2
		cat "$dir/log" >&2
		exit 1
	fi
	sleep 0.05
done

kssh() {
	"$build/kssh" --run-dir "$dir/run" "$@"
}

if [ -t 0 ] && [ -t 1 ]; then
	echo "A shell through k8shelld (pid $pid), served on $dir/run/grpc.sock."
	echo "Leave with exit, or Enter ~ ."
	# In the background, or a signal for us would wait for its end.
	exec 3<&0
	"$build/kssh" --run-dir "$dir/run" <&3 3<&- &
	shell=$!
	wait "$shell" || :
	shell=
	clean_up
	echo "Stopped; nothing is left running."
	exit 0
fi

kbox() {
	"$build/kbox" --run-dir "$dir/run" "$@"
}

# As it would be typed; no word here has a quote of that kind in it.
say() {
	printf '%s' "$1"
	shift
	for word; do
		case $word in
		*[!A-Za-z0-9_./-]*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	echo
}

# check STATUS COMMAND...: shows a command, runs it, expects its status.
check() {
	want=$1
	shift
	say "\$${before:+ $before |}" "$@"
	got=0
	"$@" || got=$?
	if [ "$got" != "$want" ]; then
		echo "try: exit status $got instead of $want" >&2
		exit 1
	fi
	[ "$got" = 0 ] || echo "(exit status $got)"
}

show() {
	want=$1
	shift
	check "$want" kssh "$@"
}

echo "k8shelld runs as pid $pid and serves $dir/run/grpc.sock"
show 0 . 'echo "hello from pid $$, as $(id -un 2>/dev/null || id -u), in $PWD"'
show 3 . 'echo "exit codes arrive"; exit 3'
before="echo 'hello, pipe'"
echo 'hello, pipe' | show 0 . 'tr a-z A-Z'
before=
show 0 -tt . 'echo "with a terminal: $(tty)"; stty size'
before='echo '\''echo "a login shell: $0, session $K8SHELL_SESSION_ID"'\'
echo 'echo "a login shell: $0, session $K8SHELL_SESSION_ID"' | show 0 -T .
before=
check 0 kbox run -d --id tick 'echo tick; sleep 60 & wait'
check 0 kbox wait tick --log tick --timeout 10s
check 0 kbox ps
check 0 kbox logs tick
check 0 kbox kill tick
echo "memory of the daemon: $(sed -n 's/^VmRSS:[^0-9]*//p' "/proc/$pid/status")," \
	"one file of $(stat -Lc %s "$build/k8shell") bytes"
clean_up
echo "Stopped; nothing is left running."
