# What a flake says of itself without its outputs. Only names and strings come out.
let
  flake = import <flake/flake.nix>;
  text = set: name: if set ? ${name} && builtins.isString set.${name} then set.${name} else null;
  inputs =
    depth: set:
    if depth > 8 then
      throw "its inputs have inputs without end"
    else
      builtins.mapAttrs (
        _: i:
        if !builtins.isAttrs i then
          throw "an input must be a set"
        else
          {
            url = text i "url";
            type = text i "type";
            follows = text i "follows";
            id = text i "id";
            path = text i "path";
            inputs = inputs (depth + 1) (i.inputs or { });
          }
      ) set;
in
if !builtins.isAttrs flake then
  throw "flake.nix must be a set: { inputs = …; outputs = …; }"
else
  {
    description = let d = text flake "description"; in if d == null then "" else builtins.substring 0 500 d;
    settings = builtins.attrNames (flake.nixConfig or { });
    inputs = inputs 0 (flake.inputs or { });
  }
