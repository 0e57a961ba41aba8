# The output of a flake that an environment is made of.
# (A set with outPath would become a string.)
let
  flake = builtins.getFlake "@REF@";
  system = "@SYSTEM@";
  at = path: set: builtins.foldl' (s: n: if builtins.isAttrs s && s ? ${n} then s.${n} else null) set path;
  candidates = [
    { shell = true; path = [ "devShells" system "default" ]; }
    { shell = true; path = [ "devShell" system ]; }
    { shell = false; path = [ "packages" system "default" ]; }
    { shell = false; path = [ "defaultPackage" system ]; }
  ];
  present = builtins.filter (c: at c.path flake != null) candidates;
  c = builtins.head present;
  value = at c.path flake;
  attr = builtins.concatStringsSep "." c.path;
in
if present == [ ] then
  { attr = ""; shell = false; inherit system; drvPath = ""; output = ""; path = ""; }
else if !builtins.isAttrs value || !(value ? drvPath) then
  throw "${attr} is no derivation"
else
  {
    inherit attr system;
    inherit (c) shell;
    drvPath = builtins.unsafeDiscardStringContext value.drvPath;
    output = value.outputName or "out";
    path = builtins.unsafeDiscardStringContext value.outPath;
  }
