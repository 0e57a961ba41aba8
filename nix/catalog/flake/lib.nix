# The few functions that the catalog and generated flakes use.
rec {
  genAttrs =
    names: f:
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = f name;
      }) names
    );

  # Store path names allow fewer characters than versions do.
  sanitize = builtins.replaceStrings [ ":" "~" "%" "@" "/" ] [ "-" "-" "-" "-" "-" ];

  # The attributes of a family.
  family = wanted: name: builtins.filter (a: (wanted.packages.${a}.family or a) == name) (builtins.attrNames wanted.packages);

  makeSearchPath = sub: paths: builtins.concatStringsSep ":" (map (p: "${p}/${sub}") paths);
  makeBinPath = makeSearchPath "bin";
  makeLibraryPath = makeSearchPath "lib";

  optional = cond: value: if cond then [ value ] else [ ];
  optionals = cond: values: if cond then values else [ ];
  optionalString = cond: value: if cond then value else "";
  optionalAttrs = cond: value: if cond then value else { };
}
