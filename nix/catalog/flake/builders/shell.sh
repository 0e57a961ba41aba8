# What `nix build` makes of a development shell: its variables, for the record.
source "$stdenv/setup"
export -p >"$out"
