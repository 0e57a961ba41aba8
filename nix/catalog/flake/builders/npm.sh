# An npm package as it is.
mkdir -p w "$out"
gzip -dc $srcs | tar xf - -C w
cp -a w/package/. "$out/"
chmod -R u+w,a+rX "$out"
