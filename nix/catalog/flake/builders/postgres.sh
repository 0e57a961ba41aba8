# A PostgreSQL server from npm, with the clients of $client beside it.
mkdir -p w "$out"
gzip -dc $srcs | tar xf - -C w
chmod -R u+w w
cp -a w/package/native/. "$out/"
rm -rf "$out/pg-symlinks.json" "$out"/lib/*.a "$out/lib/pkgconfig" "$out/lib/postgresql/pgxs"

# npm archives hold no links; the package lists those that it had.
sed 's/},{/}\n{/g' w/package/native/pg-symlinks.json |
	sed -n 's/.*"source":"native\/\([^"]*\)","target":"native\/\([^"]*\)".*/\1 \2/p' |
	while read -r from to || [ -n "${from:-}" ]; do
		[ -e "$out/$to" ] || ln -s "$(basename "$from")" "$out/$to"
	done

# These load libraries of languages that the package does not have.
find "$out/lib/postgresql" "$out/share" \( -name '*plperl*' -o -name '*plpython*' -o -name 'pltcl*' \) -prune -exec rm -rf {} +

chmod -R a+rX "$out"
chmod 755 "$out"/bin/*
. "$elf"
patch_tree "$out"

for f in "$client"/bin/*; do
	name=${f##*/}
	[ -e "$out/bin/$name" ] || ln -s "$f" "$out/bin/$name"
done
