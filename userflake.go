package nixspace

// UserFlake is a flake that a user brought, with what is to be done otherwise in it.
type UserFlake struct {
	Files map[string]string // its text files by path: "flake.nix", "flake.lock", "nix/shell.nix"
	// Overrides replaces inputs by name; the only replacement is "catalog", the
	// package source that NixSpace carries itself.
	Overrides map[string]string
}

// FlakeOutput is what a user's flake comes to: the environment that it describes.
type FlakeOutput struct {
	Attr        string // which of its outputs: "devShells.x86_64-linux.default"
	Description string
	Lock        string // its flake.lock, with every input locked; empty where it has none
	// Packages are what its programs come from, first in PATH first.
	Packages []FlakePackage
	// Env are the variables of its shell that are plain text, and Uses what of the
	// store they name.
	Env  map[string]string
	Uses []FlakePackage
	// Skipped are variables that could not be taken over.
	Skipped []string
}

// FlakePackage is an output of a derivation of a user's flake, or a file of it.
type FlakePackage struct {
	Name    string // "git"
	Version string // "2.47.3"; may be empty
	DrvPath string // empty for a file that is not built
	Output  string // of the derivation: "out"
	OutPath string
}
