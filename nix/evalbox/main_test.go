package evalbox_test

import (
	"os"
	"testing"

	"github.com/nixspace/nixspace/nix/evalbox"
	"github.com/nixspace/nixspace/nix/nixtest"
)

func TestMain(m *testing.M) {
	evalbox.Main()
	if os.Getenv(wayVar) != "" {
		os.Exit(evaluateAndPrint())
	}
	os.Exit(nixtest.MainAll(m))
}
