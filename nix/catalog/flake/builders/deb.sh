# Unpacks Debian packages into one tree with bin, lib and share at its top, and
# makes its programs load their libraries from the store ($elf).
mkdir w
cd w
for s in $srcs; do
	member=$(ar t "$s" | grep '^data\.tar')
	case $member in
	*.xz) ar p "$s" "$member" | xz -dc >data.tar ;;
	*.gz) ar p "$s" "$member" | gzip -dc >data.tar ;;
	*.tar) ar p "$s" "$member" >data.tar ;;
	*)
		echo "$s: cannot unpack $member" >&2
		exit 1
		;;
	esac
	tar xf data.tar --no-same-permissions
	rm data.tar
done
chmod -R u+w .
for d in doc lintian bug locale man info menu doc-base; do
	rm -rf "usr/share/$d"
done
mkdir -p "$out"

# move takes the content of the first directory into $out/<second>.
move() {
	if [ -d "$1" ] && [ ! -L "$1" ]; then
		mkdir -p "$out/$2"
		cp -a "$1/." "$out/$2/"
		rm -rf "$1"
	fi
}
for d in usr/lib/postgresql/*/bin; do # where clients are behind Debian's own wrappers
	move "$d" bin
done
for d in usr/lib/x86_64-linux-gnu lib/x86_64-linux-gnu usr/lib lib; do
	move "$d" lib
done
for d in usr/bin bin usr/sbin sbin; do
	[ "$d" != usr/bin ] || [ ! -e usr/bin/which.debianutils ] || cp -a usr/bin/which.debianutils .
	move "$d" bin
done
move usr/libexec libexec
move usr/share share
move usr/include include
move etc etc
for d in "$out/share" "$out/etc" "$out/lib"; do
	rmdir "$d" 2>/dev/null || true
done

if [ -n "$elf" ]; then
	. "$elf"
	patch_tree "$out"
fi
eval "${post:-}"
