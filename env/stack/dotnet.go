package stack

import (
	"regexp"
	"strings"

	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/stack/syntax"
)

var dotnetClients = map[string]string{
	"Npgsql": "postgresql", "Npgsql.EntityFrameworkCore.PostgreSQL": "postgresql", "StackExchange.Redis": "redis",
	"Microsoft.Extensions.Caching.StackExchangeRedis": "redis", "MySqlConnector": "mysql", "Pomelo.EntityFrameworkCore.MySql": "mysql",
	"MongoDB.Driver": "mongodb", "RabbitMQ.Client": "rabbitmq-server", "Confluent.Kafka": "apacheKafka",
}

var targetFramework = regexp.MustCompile(`^net(?:coreapp)?([0-9]+\.[0-9]+)`)

func detectDotnet(f *folder) {
	var projects []string
	for _, name := range f.names {
		if f.has(name) && (strings.HasSuffix(name, ".csproj") || strings.HasSuffix(name, ".fsproj")) {
			projects = append(projects, name)
		}
	}
	web := Evidence{}
	for _, name := range projects {
		file := f.open(name)
		root := file.tree(syntax.XML).Get("Project")
		f.implied("dotnet-sdk", name, "the project is of .NET")
		for _, group := range root.All() {
			for _, key := range []string{"TargetFramework", "TargetFrameworks"} {
				n := group.Get(key)
				first, _, _ := strings.Cut(n.Text(), ";")
				if m := targetFramework.FindStringSubmatch(first); m != nil {
					file.need("dotnet-sdk", constraint.Pin, m[1], Declared, n.Line, "")
				}
			}
			for _, ref := range group.All() {
				if ref.Name == "PackageReference" {
					file.client(dotnetClients, ref.Get("Include").Text(), ref.Line)
				}
			}
		}
		if root.Get("Sdk").Text() == "Microsoft.NET.Sdk.Web" {
			web = file.at(root.At())
		}
	}
	solution := ""
	for _, name := range f.names {
		if f.has(name) && (strings.HasSuffix(name, ".sln") || strings.HasSuffix(name, ".slnx")) {
			solution = name
			break
		}
	}
	switch at := solution; {
	case at == "" && len(projects) == 0:
		return
	case at == "":
		at = projects[0]
		fallthrough
	default:
		if f.solutionAbove() {
			return
		}
		f.step("dotnet restore", f.whole(at))
		f.script("test", "dotnet test", f.whole(at))
		if web.File != "" {
			f.script("start", "dotnet run", web)
			f.port("web", 5000, Implied, web)
		}
	}
}

// solutionAbove reports whether a folder above has a solution, which restores what
// is below it.
func (f *folder) solutionAbove() bool {
	for i := range f.folders {
		up := &f.folders[i]
		if up.dir == f.dir || up.dir != "" && !strings.HasPrefix(f.dir, up.dir+"/") {
			continue
		}
		for _, name := range up.names {
			if strings.HasSuffix(name, ".sln") || strings.HasSuffix(name, ".slnx") {
				return true
			}
		}
	}
	return false
}
