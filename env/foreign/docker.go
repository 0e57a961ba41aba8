package foreign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace/env/manifest"
)

// Dockerfile writes an image in which the project runs.
func Dockerfile(e Environment) Export {
	s := systemOf(e)
	var b strings.Builder
	b.WriteString(made("#", "dockerfile"))
	b.WriteByte('\n')
	s.dockerfile(&b, e)
	b.WriteString("\nWORKDIR /workspace\nCOPY . .\n")
	if setup := e.Manifest.Scripts["setup"]; setup != "" {
		b.WriteString("RUN " + jsonText([]string{"sh", "-c", setup}) + "\n")
	}
	for _, p := range e.ports() {
		fmt.Fprintf(&b, "EXPOSE %d\n", p)
	}
	if start := e.start(); start != "" {
		b.WriteString("CMD " + jsonText([]string{"sh", "-c", start}) + "\n")
	}
	out := Export{Files: []File{{"Dockerfile", b.String()}}, Left: s.left}
	for _, name := range sorted(e.Manifest.Services) {
		if img, ok := e.serviceImage(name); ok {
			out.Left = append(out.Left, fmt.Sprintf("the service %s: run the image %s beside it", name, img))
		} else {
			out.Left = append(out.Left, fmt.Sprintf("the service %s: %s", name, e.Manifest.Services[name].Command))
		}
	}
	return out
}

// devcontainer is devcontainer.json, in the order in which people write it.
type devcontainer struct {
	Name    string            `json:"name"`
	Build   map[string]string `json:"build,omitempty"`
	Compose string            `json:"dockerComposeFile,omitempty"`
	Service string            `json:"service,omitempty"`
	Folder  string            `json:"workspaceFolder,omitempty"`
	Ports   []int             `json:"forwardPorts,omitempty"`
	Setup   string            `json:"postCreateCommand,omitempty"`
}

// workspace is the service that a Dev Container with further services is.
const workspace = "workspace"

// DevContainer writes a Dev Container. Services are containers of their own that
// share its network, so that they are found where they are in a session.
func DevContainer(e Environment) Export {
	s := systemOf(e)
	var docker strings.Builder
	docker.WriteString(made("#", "devcontainer"))
	docker.WriteByte('\n')
	s.dockerfile(&docker, e)
	out := Export{Files: []File{{".devcontainer/Dockerfile", docker.String()}}, Left: s.left}

	compose, sql := e.compose(&out)
	c := devcontainer{Name: e.Name, Ports: e.ports(), Setup: e.Manifest.Scripts["setup"]}
	if compose != "" {
		out.Files = append(out.Files, File{".devcontainer/compose.yaml", compose})
		c.Compose, c.Service, c.Folder = "compose.yaml", workspace, "/workspace"
	} else {
		c.Build = map[string]string{"dockerfile": "Dockerfile"}
	}
	if sql != "" {
		out.Files = append(out.Files, File{".devcontainer/databases.sql", sql})
	}
	out.Files = append([]File{{".devcontainer/devcontainer.json", made("//", "devcontainer") + jsonIndented(c)}}, out.Files...)
	return out
}

// compose writes the container and its services; "" where there is none.
func (e Environment) compose(out *Export) (text, sql string) {
	var services strings.Builder
	for _, name := range sorted(e.Manifest.Services) {
		v := e.Manifest.Services[name]
		img, ok := e.serviceImage(name)
		if !ok {
			out.Left = append(out.Left, fmt.Sprintf("the service %s: start it in the container: %s", name, v.Command))
			continue
		}
		port := strconv.Itoa(manifest.ServicePort(name, v))
		fmt.Fprintf(&services, "  %s:\n    image: %s\n    network_mode: service:%s\n", name, img, workspace)
		switch name {
		case "postgresql":
			argv := []string{"postgres", "-p", port}
			for _, k := range sorted(v.Settings) {
				argv = append(argv, "-c", fmt.Sprintf("%s=%v", k, v.Settings[k]))
			}
			database := "postgres"
			if len(v.Databases) > 0 {
				database = v.Databases[0]
			}
			fmt.Fprintf(&services, "    command: %s\n", composeText(argv))
			fmt.Fprintf(&services, "    environment:\n      POSTGRES_USER: dev\n      POSTGRES_DB: %s\n      POSTGRES_HOST_AUTH_METHOD: trust\n", database)
			for _, d := range v.Databases[min(1, len(v.Databases)):] {
				sql += fmt.Sprintf("CREATE DATABASE %q;\n", d)
			}
			if sql != "" {
				services.WriteString("    volumes:\n      - ./databases.sql:/docker-entrypoint-initdb.d/databases.sql:ro\n")
			}
		case "redis":
			argv := []string{"redis-server", "--port", port}
			for _, k := range sorted(v.Settings) {
				argv = append(argv, "--"+k, fmt.Sprint(v.Settings[k]))
			}
			fmt.Fprintf(&services, "    command: %s\n", composeText(argv))
		}
	}
	if services.Len() == 0 {
		return "", ""
	}
	var b strings.Builder
	b.WriteString(made("#", "devcontainer"))
	fmt.Fprintf(&b, "services:\n  %s:\n    build: .\n    command: sleep infinity\n    volumes:\n      - ..:/workspace\n", workspace)
	b.WriteString("    environment:\n")
	for _, name := range sorted(e.Manifest.Services) {
		v := e.Manifest.Services[name]
		port := manifest.ServicePort(name, v)
		switch name {
		case "postgresql":
			database := "postgres"
			if len(v.Databases) > 0 {
				database = v.Databases[0]
			}
			fmt.Fprintf(&b, "      PGHOST: 127.0.0.1\n      PGPORT: \"%d\"\n      PGUSER: dev\n      PGDATABASE: %s\n", port, database)
			fmt.Fprintf(&b, "      DATABASE_URL: postgresql://dev@127.0.0.1:%d/%s\n", port, database)
		case "redis":
			fmt.Fprintf(&b, "      REDIS_URL: redis://127.0.0.1:%d\n", port)
		}
	}
	b.WriteString(services.String())
	return b.String(), sql
}

// composeText writes a command for compose, which reads $ as its own.
func composeText(argv []string) string { return strings.ReplaceAll(jsonText(argv), "$", "$$") }

func jsonText(v any) string {
	return strings.TrimSuffix(encode(v, ""), "\n")
}

func jsonIndented(v any) string { return encode(v, "\t") }

func encode(v any, indent string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		panic("foreign: " + err.Error()) // strings, numbers, lists and tables always encode
	}
	return b.String()
}
