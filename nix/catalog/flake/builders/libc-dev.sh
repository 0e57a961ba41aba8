# Headers, start-up objects and linker names of the C library and the kernel.
mkdir w
cd w
for s in $srcs; do
	ar p "$s" data.tar.xz | xz -dc | tar xf - --no-same-permissions
done
mkdir -p "$out/lib"
# Some headers are links to places that a store path does not have.
cp -RL usr/include "$out/include"
cp -RL usr/include/x86_64-linux-gnu/. "$out/include/"
cp -a usr/lib/x86_64-linux-gnu/. "$out/lib/"
chmod -R u+w "$out"
rm -rf "$out/include/x86_64-linux-gnu" "$out/lib/pkgconfig" "$out/lib/audit"
for link in "$out"/lib/*.so; do
	if [ ! -L "$link" ]; then
		# A linker script: it names files by absolute paths.
		sed -i "s|/usr/lib/x86_64-linux-gnu/\([a-z_]*nonshared\.a\)|$out/lib/\1|g; s|/usr/lib/x86_64-linux-gnu/\([a-z0-9.-]*\.a\)|$out/lib/\1|g; s|/\(usr/\)\?lib/x86_64-linux-gnu/|$glibc/lib/|g; s|/lib64/|$glibc/lib/|g" "$link"
		continue
	fi
	name=$(basename "$(readlink "$link")")
	for d in "$glibc" $libs; do
		[ ! -e "$d/lib/$name" ] || ln -sf "$d/lib/$name" "$link"
	done
	[ -e "$link" ] || rm "$link"
done
