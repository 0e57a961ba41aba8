# Sourced by builders. Needs $glibc, $libs, $patchelf and $patchelfLibs.

# Where the programs of Debian and npm expect other paths than the store's, both
# the interpreter and the library path must change: with only one of them a
# program mixes two C libraries.
patch_elf() {
	"${patchelfLibs%%:*}/ld-linux-x86-64.so.2" --library-path "$patchelfLibs" \
		"$patchelf/bin/patchelf" --page-size 4096 "$@"
}

# patch_tree makes every program and library under a directory load what it
# needs from that directory, the C library and $libs. Each file names all that it
# needs itself: a library path is not handed on to what is loaded.
patch_tree() {
	find "$1" -type f | while read -r file; do
		case $file in *.o | *.a | *.ko) continue ;; esac
		[ "$(head -c 4 "$file" | tr -d '\177')" = ELF ] || continue
		needed=$(patch_elf --print-needed "$file" 2>/dev/null) || continue
		path=
		for n in $needed; do
			case $n in ld-linux*) continue ;; esac
			hit=
			for d in "$1/lib" "$(dirname "$file")" "$glibc/lib" "$1/lib/systemd" $(printf '%s/lib ' $libs); do
				if [ -e "$d/$n" ]; then
					hit=$d
					break
				fi
			done
			if [ -z "$hit" ]; then
				echo "$n, needed by ${file#"$1"/}, is in no unit" >&2
				continue
			fi
			case ":$path:" in
			*":$hit:"*) ;;
			*) path=${path:+$path:}$hit ;;
			esac
		done
		if patch_elf --print-interpreter "$file" >/dev/null 2>&1; then
			case $file in
			*.so | *.so.*) ;;
			*) patch_elf --set-interpreter "$glibc/lib/ld-linux-x86-64.so.2" "$file" ;;
			esac
		fi
		[ -z "$path" ] || patch_elf --set-rpath "$path" "$file"
	done
}
