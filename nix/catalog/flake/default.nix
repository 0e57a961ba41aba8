# The catalog: catalog.json says what there is, catalog.lock.json pins it, and
# this file says how it is built. Attribute names are nixpkgs' own.
#
# Nothing is downloaded here. Sources are fixed-output paths that NixSpace puts
# into the store after it fetched them with the machine's own registry clients.
{ system ? "x86_64-linux" }:
let
  wanted = builtins.fromJSON (builtins.readFile ./catalog.json);
  lock = builtins.fromJSON (builtins.readFile ./catalog.lock.json);
  lib = import ./lib.nix;

  fixed =
    { name, algo, hash, mode ? "flat" }:
    derivation {
      inherit name system;
      # Says in Nix's own error message what to do when the path is missing.
      builder = "builtin:missing-run-nixspace-catalog-fetch";
      outputHashAlgo = algo;
      outputHashMode = mode;
      outputHash = hash;
      preferLocalBuild = true;
    };

  source = key: fixed { inherit (lock.sources.${key}) name algo hash; };

  # A directory, because busybox looks at the last part of its own path.
  seed = fixed {
    name = "busybox-seed";
    algo = "sha256";
    mode = "recursive";
    inherit (lock.seed) hash;
  };

  busybox = derivation {
    name = "busybox-${lib.sanitize lock.sources.${lock.seed.source}.version}";
    inherit system;
    builder = "${seed}/bin/busybox";
    args = [ "sh" "-ec" "${seed}/bin/busybox mkdir -p $out/bin; ${seed}/bin/busybox --install -s $out/bin" ];
    preferLocalBuild = true;
  };

  # run makes a derivation of a shell script and its variables.
  run =
    builder: attrs:
    derivation (
      {
        inherit system;
        builder = "${busybox}/bin/sh";
        args = [ "-eu" builder ];
        PATH = "${busybox}/bin";
        preferLocalBuild = true;
      }
      // attrs
    );

  glibcOf = unit: if unit.suite == "trixie" then base.glibc else base."${unit.suite}.glibc";

  # What a builder needs to make programs load their libraries from the store.
  elf = unit: {
    elf = ./builders/elf.sh;
    glibc = glibcOf unit;
    libs = map (l: base.${l}) unit.libs;
    patchelf = base.patchelf-bootstrap;
    patchelfLibs = "${base.glibc}/lib:${base.gcc-libs-bootstrap}/lib";
  };

  common = name: unit: {
    name = "${lib.sanitize (family name)}-${lib.sanitize unit.version}";
    srcs = map source unit.srcs;
  };
  family = name: (wanted.packages.${name} or { }).family or name;

  deb = name: unit: run ./builders/deb.sh (common name unit // elf unit // extras.${name} or { });
  raw = name: unit: run ./builders/deb.sh (common name unit // { elf = ""; });

  # The last step of builders/deb.sh, for units that need one.
  extras = {
    bash.post = "ln -s bash $out/bin/sh";
    bashInteractive.post = "ln -s bash $out/bin/sh";
    gawk.post = "ln -s gawk $out/bin/awk";
    which.post = "rm -rf $out/bin/*; sed '1s|.*|#!${base.bash}/bin/sh|' which.debianutils > $out/bin/which; chmod 755 $out/bin/which";
    cacert.post = ''
      rm -rf $out/bin $out/etc/ca-certificates
      mkdir -p $out/etc/ssl/certs
      cat $out/share/ca-certificates/mozilla/*.crt > $out/etc/ssl/certs/ca-bundle.crt
      ln -s ca-bundle.crt $out/etc/ssl/certs/ca-certificates.crt
      rm -rf $out/share
    '';
    gcc.post = ''
      # Linker names of the run-time libraries, which are other units.
      for link in $out/lib/gcc/x86_64-linux-gnu/14/*.so; do
        [ ! -e $link ] || continue
        for d in $out $libs; do
          name=$(basename "$(readlink $link)")
          [ ! -e $d/lib/$name ] || ln -sf $d/lib/$name $link
        done
      done
    '';
    git.post = ''
      for f in $out/lib/git-core/*; do
        [ -L $f ] || ! cmp -s $f $out/bin/git || ln -sf ../../bin/git $f
      done
    '';
    glibcLocales.post = "rm -rf $out/bin $out/etc $out/share";
    ncurses.post = ''
      if [ -d $out/lib/terminfo ]; then mkdir -p $out/share/terminfo; cp -a $out/lib/terminfo/. $out/share/terminfo/; rm -rf $out/lib/terminfo; fi
      rm -rf $out/etc
    '';
    python313.post = ''
      rm -f $out/lib/python3.13/sitecustomize.py
      ln -s python3.13 $out/bin/python3
      ln -s python3.13 $out/bin/python
      find $out -name __pycache__ -prune -exec rm -rf {} +
      find $out/lib/python3.13 -name '*.py' -exec grep -l /usr/share/python-wheels {} + | while read -r f; do
        sed -i "s|/usr/share/python-wheels|$out/share/python-wheels|g" "$f"
      done
    '';
    vim.post = ''
      rm -rf $out/etc
      [ ! -e $out/bin/vim.basic ] || ln -sf vim.basic $out/bin/vim
      ln -sf vim $out/bin/vi
    '';
    tzdata.post = "rm -rf $out/bin $out/sbin";
    binutils.post = ''
      cd $out/bin
      for f in x86_64-linux-gnu-*; do [ -e "''${f#x86_64-linux-gnu-}" ] || ln -s $f "''${f#x86_64-linux-gnu-}"; done
    '';
  };

  # How units of the lock are built. Libraries and plain packages are debs.
  builders =
    {
      glibc = raw;
      "forky.glibc" = raw;
      gcc-libs-bootstrap = raw;
      patchelf-bootstrap = raw;
      glibc-dev = name: unit: 
        run ./builders/libc-dev.sh (
          common name unit
          // {
            inherit (base) glibc;
            libs = map (l: base.${l}) unit.libs;
          }
        );
    }
    // lib.genAttrs [ "npm_10" "npm_11" ] (_: name: unit: run ./builders/npm.sh (common name unit))
    // lib.genAttrs (lib.family wanted "go") (
      _: name: unit:
      run ./builders/go.sh (
        common name unit
        // {
          inherit (base) bash coreutils;
          inherit (unit) version;
        }
      )
    )
    // lib.genAttrs (lib.family wanted "nodejs") (
      _: name: unit:
      run ./builders/node.sh (
        common name unit
        // elf unit
        // {
          inherit (base) bash;
          npm = if name == "nodejs_24" then base.npm_11 else base.npm_10;
        }
      )
    )
    // lib.genAttrs (lib.family wanted "postgresql") (
      _: name: unit:
      run ./builders/postgres.sh (
        common name unit
        // elf unit
        // {
          # A client dumps servers up to its own major version.
          client = if name == "postgresql_18" then base.postgresql-client_18 else base.postgresql-client_17;
        }
      )
    );

  base = builtins.mapAttrs (name: unit: (builders.${name} or deb) name unit) lock.units;

  # Programs that must be told where their files are.
  wrap = name: attrs: run ./builders/wrap.sh ({ inherit (base.${name}) name; package = base.${name}; inherit (base) bash; } // attrs);
  caBundle = "${base.cacert}/etc/ssl/certs/ca-bundle.crt";
  wrapped = {
    git = wrap "git" {
      programs = "git git-receive-pack git-shell git-upload-archive git-upload-pack scalar";
      environment = ''
        export GIT_EXEC_PATH=${base.git}/lib/git-core GIT_TEMPLATE_DIR=${base.git}/share/git-core/templates
        export GIT_SSL_CAINFO="''${GIT_SSL_CAINFO:-''${SSL_CERT_FILE:-${caBundle}}}"
        export PATH="$PATH:${base.openssh}/bin"
      '';
    };
    curl = wrap "curl" {
      programs = "curl";
      environment = ''
        export CURL_CA_BUNDLE="''${CURL_CA_BUNDLE:-''${SSL_CERT_FILE:-${caBundle}}}"
      '';
    };
    file = wrap "file" {
      programs = "file";
      environment = ''
        export MAGIC="''${MAGIC:-${base.libmagic-mgc}/lib/file/magic.mgc}"
      '';
    };
    vim = wrap "vim" {
      programs = "vim vi vim.basic vimdiff";
      environment = ''
        export VIM=${base.vim}/share/vim VIMRUNTIME="$(echo ${base.vim}/share/vim/vim[0-9]*)"
      '';
    };
    gcc = run ./builders/gcc.sh {
      inherit (base.gcc) name;
      package = base.gcc;
      inherit (base) bash binutils glibc;
      libc = base.glibc-dev;
      libs = map (l: base.${l}) lock.units.gcc.libs;
    };
  };

  packages = builtins.mapAttrs (name: _: wrapped.${name} or base.${name}) wanted.packages // {
    inherit busybox;
  };

  # The default member of a family has the family's name too, as nixpkgs' nodejs.
  aliases = builtins.listToAttrs (
    map (name: {
      name = family name;
      value = packages.${name};
    }) (builtins.filter (name: wanted.packages.${name}.default or false) (builtins.attrNames wanted.packages))
  );

  buildEnv =
    { name, paths, ... }:
    import ./buildenv.nix { inherit name paths; };

  # What every guest has under its own packages.
  nixspaceBase = buildEnv {
    name = "nixspace-base";
    paths = with packages; [
      bash
      cacert
      coreutils
      findutils
      gawk
      glibc
      glibcLocales
      gnugrep
      gnused
      gnutar
      gzip
      hostname
      less
      ncurses
      procps
      which
    ];
  };

  stdenv = run ./builders/stdenv.sh {
    name = "stdenv";
    setup = ./builders/setup.sh;
    initialPath = [ nixspaceBase ]; # a shell has the tools that a session has, and needs no more to be there
  };

  # A development shell, for `nix develop`: packages on PATH, variables as given.
  mkShell =
    {
      name ? "nix-shell",
      packages ? [ ],
      nativeBuildInputs ? [ ],
      buildInputs ? [ ],
      env ? { },
      shellHook ? "",
      ...
    }@args:
    derivation (
      {
        LANG = "C.UTF-8";
        LOCPATH = "${base.glibcLocales}/lib/locale";
        SSL_CERT_FILE = caBundle;
      }
      // removeAttrs args [ "packages" "env" "inputsFrom" "meta" "passthru" ]
      // env
      // {
        inherit name system stdenv shellHook buildInputs;
        builder = "${base.bash}/bin/bash";
        args = [ "-e" ./builders/shell.sh ];
        outputs = [ "out" ]; # `nix develop` looks for the variable
        nativeBuildInputs = packages ++ nativeBuildInputs;
        preferLocalBuild = true;
      }
    );

  # Each package's programs are run once; the output is the proof.
  smoke = builtins.mapAttrs (
    name: package:
    derivation {
      name = "smoke-${package.name}";
      inherit system package;
      builder = "${base.bash}/bin/bash";
      args = [ "-eu" ./builders/smoke.sh ];
      script = wanted.packages.${name}.smoke or "true";
      shell = "${base.bash}/bin/bash";
      inherit (base) glibc cacert;
      PATH = lib.makeBinPath [ package base.coreutils base.gnugrep base.gnused base.bash ];
      LOCPATH = "${base.glibcLocales}/lib/locale";
      preferLocalBuild = true;
    }
  ) (removeAttrs packages [ "busybox" ]);

  # What NixSpace reads of the catalog, in one evaluation. (A set with outPath
  # would become a string.)
  index = {
    packages = builtins.mapAttrs (name: unit: {
      version = lock.units.${name}.version;
      family = unit.family or name;
      description = unit.description or "";
      default = unit.default or (!(unit ? family));
      drv = packages.${name}.drvPath;
      out = packages.${name}.outPath;
      smokeDrv = smoke.${name}.drvPath;
      smokeOut = smoke.${name}.outPath;
    }) wanted.packages;
    base = {
      drv = nixspaceBase.drvPath;
      out = nixspaceBase.outPath;
    };
    # What later builds need, even once everything that is there was built.
    tools = builtins.mapAttrs (_: d: { drv = d.drvPath; out = d.outPath; }) {
      inherit busybox stdenv;
      inherit (base) glibc bash patchelf-bootstrap gcc-libs-bootstrap;
    };
  };
in
packages
// aliases
// {
  inherit lib buildEnv mkShell stdenv nixspaceBase smoke index;
  inherit system;
}
