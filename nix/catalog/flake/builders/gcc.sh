# The compilers of $package, told where the C library, the linker and everything
# else is. Nothing of the machine's own /usr is looked at.
mkdir -p "$out/bin" "$out/sysroot" "$out/libexec"

script() { # name, text
	printf '#!%s/bin/bash\n%s\n' "$bash" "$2" >"$1"
	chmod 755 "$1"
}

for f in "$binutils"/bin/*; do
	case ${f##*/} in ld | ld.bfd | x86_64-linux-gnu-ld*) ;; *) ln -s "$f" "$out/bin/${f##*/}" ;; esac
done
search="-L$libc/lib -L$glibc/lib" path="$glibc/lib"
for l in $libs; do
	if [ -e "$l/lib/libstdc++.so.6" ] || [ -e "$l/lib/libgcc_s.so.1" ]; then
		search="$search -L$l/lib" path="$path:$l/lib"
	fi
done
# What the compiler says of the dynamic linker comes before, so this counts.
script "$out/bin/ld" "exec $binutils/bin/ld.bfd \"\$@\" $search -rpath $path -dynamic-linker $glibc/lib/ld-linux-x86-64.so.2"
ln -s ld "$out/bin/ld.bfd"

flags="--sysroot=$out/sysroot -B$out/bin -B$libc/lib -idirafter $libc/include"
cxx="$package/include/c++/14"
cxxflags="-nostdinc++ -isystem $cxx -isystem $package/include/x86_64-linux-gnu/c++/14 -isystem $cxx/backward"
tool=$package/bin/x86_64-linux-gnu
script "$out/bin/gcc" "exec $tool-gcc-14 \"\$@\" $flags"
script "$out/bin/g++" "exec $tool-g++-14 \"\$@\" $cxxflags $flags"
script "$out/bin/cpp" "exec $tool-cpp-14 \"\$@\" $flags"
ln -s gcc "$out/bin/cc"
ln -s g++ "$out/bin/c++"
for t in gcc-ar gcc-nm gcc-ranlib gcov; do
	ln -s "$tool-$t-14" "$out/bin/$t"
done
rmdir "$out/libexec"
