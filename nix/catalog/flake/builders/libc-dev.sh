# Headers, start-up objects and linker names of the C library and the kernel.
mkdir w
cd w
for s in $srcs; do
	ar p "$s" data.tar.xz | xz -dc | tar xf - --no-same-permissions
done
mkdir -p "$out/lib"
cp -a usr/include "$out/include"
cp -a usr/include/x86_64-linux-gnu/. "$out/include/" 
cp -a usr/lib/x86_64-linux-gnu/. "$out/lib/"
chmod -R u+w "$out"
rm -rf "$out/lib/pkgconfig"
# Linker names point to files of the C library itself.
find "$out/lib" -type l | while read -r link; do
	[ -e "$link" ] || { name=$(basename "$(readlink "$link")"); [ ! -e "$glibc/lib/$name" ] || ln -sf "$glibc/lib/$name" "$link"; }
done
for f in "$out"/lib/*.so; do
	[ -L "$f" ] || sed -i "s|/usr/lib/x86_64-linux-gnu/\([a-z_]*nonshared\.a\)|$out/lib/\1|g; s|/usr/lib/x86_64-linux-gnu/|$glibc/lib/|g; s|/lib/x86_64-linux-gnu/|$glibc/lib/|g; s|/lib64/|$glibc/lib/|g" "$f"
done
