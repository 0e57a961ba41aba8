package stack

import (
	"regexp"

	"github.com/nixspace/nixspace/env/constraint"
)

var elixirClients = map[string]string{
	"postgrex": "postgresql", "redix": "redis", "myxql": "mysql", "mongodb_driver": "mongodb", "amqp": "rabbitmq-server", "brod": "apacheKafka",
}

var (
	mixElixir = regexp.MustCompile(`^elixir:\s*"([^"]*)"`)
	mixDep    = regexp.MustCompile(`^\{\s*:([a-z0-9_]+)\s*,`)
)

func detectElixir(f *folder) {
	file := f.open("mix.exs")
	if file == nil {
		return
	}
	f.implied("elixir", "mix.exs", "the project is of Elixir")
	f.implied("erlang", "mix.exs", "Elixir runs on it")
	phoenix := 0
	for _, l := range file.lines() {
		if m := mixElixir.FindStringSubmatch(l.text); m != nil {
			file.need("elixir", constraint.Ruby, m[1], Declared, l.no, "")
		}
		if m := mixDep.FindStringSubmatch(l.text); m != nil {
			file.client(elixirClients, m[1], l.no)
			if m[1] == "phoenix" {
				phoenix = l.no
			}
		}
	}
	f.step("mix deps.get", f.whole("mix.exs"))
	f.script("test", "mix test", f.whole("mix.exs"))
	if phoenix > 0 {
		f.script("dev", "mix phx.server", file.at(phoenix))
		f.script("migrate", "mix ecto.setup", file.at(phoenix))
		f.port("web", 4000, Implied, file.at(phoenix))
	}
}
