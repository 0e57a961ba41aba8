# Rendered from nixspace.toml by NixSpace. Change it there, not here.
{
  description = "The environment empty-env";

  inputs.nixpkgs.url = "path:/nix/store/00000000000000000000000000000000-source";

  outputs =
    { self, nixpkgs }:
    let
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system};
      packages = [ ];
    in
    {
      packages.${system}.default = pkgs.buildEnv {
        name = "empty-env";
        paths = packages;
      };

      devShells.${system}.default = pkgs.mkShell {
        inherit packages;
      };
    };
}
