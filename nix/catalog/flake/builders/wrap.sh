# $package with $programs replaced by scripts that set $environment first.
mkdir -p "$out/bin"
for d in "$package"/*; do
	[ "${d##*/}" = bin ] || ln -s "$d" "$out/${d##*/}"
done
for f in "$package"/bin/*; do
	ln -s "$f" "$out/bin/${f##*/}"
done
for p in $programs; do
	[ -e "$package/bin/$p" ] || continue
	rm "$out/bin/$p"
	printf '#!%s/bin/bash\n%sexec -a "$0" %s/bin/%s "$@"\n' "$bash" "$environment" "$package" "$p" >"$out/bin/$p"
	chmod 755 "$out/bin/$p"
done
