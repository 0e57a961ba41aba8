# The least that `nix develop` asks of a standard environment: a file setup.
mkdir "$out"
printf 'initialPath="%s"\n' "$initialPath" | cat - "$setup" >"$out/setup"
