package app

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

func renderFlake(string, nixspace.FlakeSource, *manifest.Resolved) (string, string, error) {
	return "{ }", "{}", nil
}

func digestOf(infos []nixspace.PathInfo) string {
	h := sha256.New()
	for _, i := range infos {
		h.Write([]byte(i.Path + i.NarHash))
	}
	return hex.EncodeToString(h.Sum(nil))
}

type needs struct {
	cpus               int
	memoryMiB, diskMiB int64
	env                map[string]string
	services           []nixspace.Service
	packages           []manifest.Package
}

func machineNeeds(v *nixspace.Version) (needs, error) { return needs{}, nil }

func layers(infos []nixspace.PathInfo, base, env string, _ []manifest.Package) ([]nixspace.StoreLayer, error) {
	return nil, nil
}
