# A Go toolchain from its module. Its programs are static; the zip keeps no
# permissions. GOTOOLCHAIN=local: it must not fetch another one by itself.
mkdir w "$out"
unzip -q $srcs -d w
mv w/golang.org/toolchain@*/* "$out/"
rm -rf "$out/test"
chmod -R u+w,a+rX "$out"
chmod 755 "$out"/bin/* "$out"/pkg/tool/*/*
sed -i 's/^GOTOOLCHAIN=.*/GOTOOLCHAIN=local/' "$out/go.env"
