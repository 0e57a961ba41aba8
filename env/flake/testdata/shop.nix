# Rendered from nixspace.toml by NixSpace. Change it there, not here.
{
  description = "The environment shop-env";

  inputs.nixpkgs.url = "path:/nix/store/00000000000000000000000000000000-source";

  outputs =
    { self, nixpkgs }:
    let
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system};
      packages = [
        pkgs.nodejs_22 # 22.23.3
        pkgs.postgresql_15 # 15.18
      ];
    in
    {
      packages.${system}.default = pkgs.buildEnv {
        name = "shop-env";
        paths = packages;
      };

      devShells.${system}.default = pkgs.mkShell {
        inherit packages;
        env = {
          GREETING = "say \"hi\" to \${USER}\tand C:\\temp";
          NODE_ENV = "development";
        };
        shellHook = "export name='it'\\''s me'\n";
        # NixSpace also runs: postgresql, web.
      };
    };
}
