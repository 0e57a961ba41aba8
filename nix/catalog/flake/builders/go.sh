# A Go toolchain from its module. Its programs are static; the zip keeps no
# permissions. GOTOOLCHAIN=local: it must not fetch another one by itself.
root=$out/share/go
mkdir -p w "$out/bin" "$root"
unzip -q $srcs -d w
mv w/golang.org/toolchain@*/* "$root/"
rm -rf "$root/test"
chmod -R u+w,a+rX "$root"
chmod 755 "$root"/bin/* "$root"/pkg/tool/*/*
sed -i 's/^GOTOOLCHAIN=.*/GOTOOLCHAIN=local/' "$root/go.env"

# The standard library comes as source, and compiling it anew in every machine
# takes minutes where the processor is emulated. So it is compiled here, by a test
# that imports all of it, which also leaves what vet found out.
std=$root/pkg/std
mkdir m
cd m
export HOME=$PWD GOCACHE=$PWD/cache GOPATH=$PWD/path CGO_ENABLED=0 GOFLAGS= GOENV=off
printf 'module m\n\ngo %s\n' "$version" >go.mod
printf 'package m\n' >m.go
"$root/bin/go" list std >list
{
	printf 'package m\n\nimport (\n'
	while read -r p; do
		case /$p/ in
		*/internal/* | /vendor/* | /unsafe/) ;;
		/testing/) echo '"testing"' ;;
		*) echo "_ \"$p\"" ;;
		esac
	done <list
	printf ')\n\nfunc Test(*testing.T) {}\n'
} >m_test.go
"$root/bin/go" test -count=1 .
cd ..
mv m/cache "$std"
rm -f "$std/trim.txt" "$std/testexpire.txt"
# The end of an entry is when it was made.
find "$std" -name '*-a' -exec sed -i 's/ *[0-9]*$/                    1/' {} +
chmod -R u+w m && rm -rf m

ln -s ../share/go/bin/gofmt "$out/bin/gofmt"
cat >"$out/bin/go" <<EOF
#!$bash/bin/bash
# A build cache begins with the compiled standard library.
case \$1 in build | install | list | run | test | vet)
	cache=\${GOCACHE:-\${XDG_CACHE_HOME:-\${HOME:-off}/.cache}/go-build}
	if [[ \$cache == /* && ! -e \$cache/std-$version ]]; then
		{ $coreutils/bin/mkdir -p "\$cache" && $coreutils/bin/cp -r --no-preserve=mode $std/. "\$cache" &&
			: >"\$cache/std-$version"; } 2>/dev/null
	fi ;;
esac
exec $root/bin/go "\$@"
EOF
chmod 755 "$out/bin/go"
