package catalog

// Codes of the errors of this package, besides those of package registry.
const (
	CodeHashMismatch   = "catalog_hash_mismatch"   // a download is not what the lock pins
	CodeTruncated      = "catalog_truncated"       // a download is shorter than the lock says
	CodePackageUnknown = "package_unknown"         // no package has this attribute name
	CodeSmokeFailed    = "catalog_smoke_failed"    // a package was built, but does not work
	CodeEvaluation     = "catalog_evaluation"      // Nix cannot evaluate the catalog
	CodeUnpinned       = "catalog_source_unpinned" // a derivation wants a source that the lock does not know
)
