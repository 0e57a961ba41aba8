# Rendered from nixspace.toml by NixSpace. Change it there, not here.
{
  description = "The environment shop-env";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/0123456789abcdef0123456789abcdef01234567";

  outputs =
    { self, nixpkgs }:
    let
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system};
      packages = [
        pkgs.nodejs_22 # nodejs 22
        pkgs.postgresql_15 # postgresql 15
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
