package wire

import (
	"encoding/json"
	"testing"
	"unicode"

	"github.com/nixspace/nixspace"
)

func FuzzView(f *testing.F) {
	f.Add([]byte(`{"ports":[{"port":3000,"process":"node\u001b[31m"},{"port":-1},{"port":70000,"pid":-5}],"terminals":[{"name":"main","viewers":[{"who":"a\u0000"}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v nixspace.MachineView
		if json.Unmarshal(b, &v) != nil {
			return
		}
		v = bounded(v)
		texts := []string{}
		for _, p := range v.Ports {
			if p.Port < 1 || p.Port > 65535 || p.PID < 0 {
				t.Errorf("port %+v", p)
			}
			texts = append(texts, p.Process)
		}
		for _, tt := range v.Terminals {
			texts = append(texts, tt.Name, tt.ID, tt.Process)
			for _, w := range tt.Viewers {
				texts = append(texts, w.Who)
			}
		}
		if len(v.Ports) > viewPorts || len(v.Terminals) > viewTerminals {
			t.Error("too much of it")
		}
		for _, s := range texts {
			if len(s) > viewText {
				t.Errorf("%d bytes of text", len(s))
			}
			for _, r := range s {
				if !unicode.IsPrint(r) {
					t.Errorf("%q cannot be read", s)
				}
			}
		}
	})
}
