# Sourced by bash at the start of a development shell: what is in nativeBuildInputs
# and buildInputs comes on PATH, before the usual tools.
_nixspace_path=
for _nixspace_dir in ${nativeBuildInputs-} ${buildInputs-} $initialPath; do
	if [ -d "$_nixspace_dir/bin" ]; then
		_nixspace_path=$_nixspace_path${_nixspace_path:+:}$_nixspace_dir/bin
	fi
done
export PATH=$_nixspace_path
unset _nixspace_path _nixspace_dir
