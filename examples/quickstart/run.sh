#!/bin/sh
# run.sh FILEWATCH: runs the quickstart configuration, changes some files in examples/quickstart/source,
# and shows that examples/quickstart/mirror follows. On a terminal it then goes on until Ctrl-C.
set -eu
cd "$(dirname "$0")/../.."
filewatch=$1 dir=examples/quickstart
pid=
finish() {
	[ -z "$pid" ] || { kill "$pid" 2>/dev/null || :; wait "$pid" 2>/dev/null || :; }
}
trap finish EXIT
trap 'exit 0' INT TERM

# What is remembered of another source of that name would hold this one.
rm -rf $dir/source $dir/mirror $dir/state
mkdir $dir/source
echo hello >$dir/source/first

# wait_for WHAT COMMAND...: waits until the command succeeds, ten seconds at most.
wait_for() {
	what=$1 tries=0
	shift
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 200 ] || { echo "timed out: $what" >&2; exit 1; }
		kill -0 "$pid" 2>/dev/null || { echo "filewatch has ended" >&2; exit 1; }
		sleep 0.05
	done
}
same() { diff -r $dir/source $dir/mirror >/dev/null 2>&1; }
step() {
	printf '\n$ %s\n' "$1"
	(cd $dir/source && eval "$1")
	wait_for "the mirror follows '$1'" same
}

printf '$ filewatch -config %s/sync.hcl\n' $dir
"$filewatch" -config $dir/sync.hcl &
pid=$!
wait_for "the first full sync" same
step 'mkdir -p a/b/c'
step 'echo some text > a/b/c/file'
step 'mv a renamed'
step 'rm -r renamed'
printf '\n%s/mirror was equal to %s/source after every step.\n' $dir $dir
if [ -t 0 ]; then
	printf 'Change something in %s/source yourself; Ctrl-C ends it.\n\n' $dir
	wait "$pid"
fi
