//go:build system

package system

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/examples/templates"
)

// TestTemplates makes a project of each template, starts it, runs its tests in the
// machine, and asks the program that it starts. NIXSPACE_TEMPLATES names those to
// try; all without it.
func TestTemplates(t *testing.T) {
	state := stateDir(t)
	up(t, state, "--no-quickstart")
	only := strings.Fields(os.Getenv("NIXSPACE_TEMPLATES"))
	for _, tmpl := range templates.List() {
		if len(only) > 0 && !strings.Contains(" "+strings.Join(only, " ")+" ", " "+tmpl.Name+" ") {
			continue
		}
		t.Run(tmpl.Name, func(t *testing.T) {
			b, err := fs.ReadFile(templates.Files(), tmpl.Name+"/"+manifest.FileName)
			if err != nil {
				t.Fatal(err)
			}
			m, err := manifest.Parse(manifest.FileName, b)
			if err != nil {
				t.Fatal(err)
			}
			name := "t-" + tmpl.Name
			t.Log(ok(t, state, "create", name, "--template", tmpl.Name))
			ok(t, state, "start", name)
			t.Log(ok(t, state, "exec", name+"/1", "--", "sh", "-c", m.Scripts["test"]))
			if port := m.Ports["web"]; port != 0 {
				ask := fmt.Sprintf(`%s >/tmp/log 2>&1 & pid=$!
for i in $(seq 900); do
	if (exec 3<>/dev/tcp/127.0.0.1/%d && printf 'GET / HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3 && head -n 1 <&3) 2>/dev/null; then break; fi
	kill -0 $pid || { cat /tmp/log; exit 1; }
	sleep 1
done
kill $pid`, m.Scripts["start"], port)
				if out := ok(t, state, "exec", name+"/1", "--", "bash", "-c", ask); !strings.Contains(out, " 200") {
					t.Errorf("it answers %q", out)
				}
			}
			ok(t, state, "rm", "--force", name+"/1")
		})
	}
}
