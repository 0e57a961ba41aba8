# Runs a package's programs in an empty directory.
mkdir "$TMPDIR/smoke"
cd "$TMPDIR/smoke"
# Some programs start others by /bin/sh (initdb, git), and look for certificates
# in /etc/ssl (pip). Where builds run as users of their own, / is not theirs to
# change, and what needs these is left out.
if mkdir -p /bin 2>/dev/null; then ln -s "$shell" /bin/sh 2>/dev/null || true; fi
ln -s "$cacert/etc/ssl" /etc/ssl 2>/dev/null || true
export package glibc shell
# A shell of its own: -e does not count in what is tested.
if ! "$shell" -eux -o pipefail -c "$script" >"$TMPDIR/log" 2>&1; then
	cat "$TMPDIR/log" >&2
	exit 1
fi
: >"$out"
