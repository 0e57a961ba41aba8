{
  description = "The NixSpace catalog: packages made of upstream's own binaries";

  outputs =
    { self }:
    let
      pkgs = import ./default.nix { };
    in
    {
      legacyPackages.x86_64-linux = pkgs;
      lib = pkgs.lib;
    };
}
