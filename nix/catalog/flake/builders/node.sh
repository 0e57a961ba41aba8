# Node.js from npm, with npm and npx.
mkdir -p w "$out/bin" "$out/lib/node_modules"
gzip -dc $srcs | tar xf - -C w
cp w/package/bin/node "$out/bin/node"
[ ! -d w/package/include ] || cp -a w/package/include "$out/include"
[ ! -e w/package/LICENSE ] || cp w/package/LICENSE "$out/"
chmod -R u+w,a+rX "$out"
chmod 755 "$out/bin/node"
. "$elf"
patch_tree "$out"
ln -s "$npm" "$out/lib/node_modules/npm"
for c in npm npx; do
	printf '#!%s/bin/bash\nexec %s/bin/node %s/bin/%s-cli.js "$@"\n' "$bash" "$out" "$npm" "$c" >"$out/bin/$c"
	chmod 755 "$out/bin/$c"
done
