# Runs a package's programs in an empty directory; the output is what they said.
mkdir -p "$TMPDIR/smoke"
cd "$TMPDIR/smoke"
{
	set -x
	eval "$script"
	set +x
} >"$TMPDIR/log" 2>&1 || {
	cat "$TMPDIR/log" >&2
	exit 1
}
: >"$out"
