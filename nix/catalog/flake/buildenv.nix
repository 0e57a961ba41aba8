# The derivation of an environment: one tree of links to the files of packages.
#
# It is made by code that is part of Nix (builtin:buildenv, which nix-env uses for
# profiles), so it needs no program in the store and is quick. Where two packages
# have a file of the same name, that of the package that comes first counts.
#
# NixSpace writes the very same derivation without running Nix (environment.go); a
# test holds the two together. Change neither alone.
{ name, paths }:
let
  numbered = builtins.genList (i: { priority = i + 1; path = builtins.elemAt paths i; }) (builtins.length paths);
in
derivation {
  inherit name;
  system = "builtin";
  builder = "builtin:buildenv";
  # For each package: whether it is active, its priority (the lowest counts), how
  # many store paths it has, and these.
  derivations = map (p: "true ${toString p.priority} 1 ${p.path}") numbered;
  # The builder makes a link manifest.nix to this. It is there for nix-env.
  manifest = "/dev/null";
  preferLocalBuild = true;
  allowSubstitutes = false;
}
