# Runs a package's programs in an empty directory.
mkdir "$TMPDIR/smoke"
cd "$TMPDIR/smoke"
export package glibc shell
# A shell of its own: -e does not count in what is tested.
if ! "$shell" -eux -o pipefail -c "$script" >"$TMPDIR/log" 2>&1; then
	cat "$TMPDIR/log" >&2
	exit 1
fi
: >"$out"
