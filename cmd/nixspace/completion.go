package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help says more than one line about the verb.
func (*completionCmd) Help() string {
	return "bash: source <(nixspace completion bash)\nzsh:  source <(nixspace completion zsh)\nfish: nixspace completion fish | source"
}

// Run prints the script.
func (c *completionCmd) Run(std streams, parser *kong.Kong) error {
	verbs := completions(parser.Model.Node)
	switch c.Shell {
	case "bash":
		return bashCompletion(std.Out, verbs)
	case "zsh":
		return zshCompletion(std.Out, verbs)
	}
	return fishCompletion(std.Out, verbs)
}

// verb is a command with what can follow it.
type verb struct {
	path  []string // "catalog", "search"
	help  string
	flags []*kong.Flag
	words []string // subcommands, or the values of its first argument
}

// completions lists the verbs, the root first.
func completions(n *kong.Node) []verb {
	var list []verb
	var walk func(n *kong.Node, path []string)
	walk = func(n *kong.Node, path []string) {
		v := verb{path: path, help: n.Help}
		for _, group := range n.AllFlags(true) {
			v.flags = append(v.flags, group...)
		}
		for _, child := range n.Children {
			if !child.Hidden {
				v.words = append(v.words, child.Name)
			}
		}
		if len(n.Positional) > 0 && n.Positional[0].Enum != "" {
			v.words = append(v.words, strings.Split(n.Positional[0].Enum, ",")...)
		}
		list = append(list, v)
		for _, child := range n.Children {
			if !child.Hidden {
				walk(child, append(path[:len(path):len(path)], child.Name))
			}
		}
	}
	walk(n, nil)
	return list
}

func flagWords(v verb) []string {
	var words []string
	for _, f := range v.flags {
		words = append(words, "--"+f.Name)
		if f.Short != 0 {
			words = append(words, "-"+string(f.Short))
		}
	}
	return words
}

// bashCompletion goes by the words on the line that are no flags.
func bashCompletion(w io.Writer, verbs []verb) error {
	var b strings.Builder
	b.WriteString("_nixspace() {\n  local cur=${COMP_WORDS[COMP_CWORD]} path='' i w\n" +
		"  for ((i = 1; i < COMP_CWORD; i++)); do\n    w=${COMP_WORDS[i]}\n    [[ $w == -- ]] && return\n    [[ $w == -* ]] && continue\n    path+=\" $w\"\n  done\n" +
		"  local words=''\n  case \"$path\" in\n")
	// The longest paths first: "catalog search" before "catalog".
	for i := len(verbs) - 1; i >= 0; i-- {
		v := verbs[i]
		path := ""
		for _, p := range v.path {
			path += " " + p
		}
		pattern := "'" + path + "'"
		if len(v.path) > 0 {
			pattern += " | '" + path + " '*"
		}
		fmt.Fprintf(&b, "    %s) words='%s' ;;\n", pattern, strings.Join(append(v.words, flagWords(v)...), " "))
	}
	b.WriteString("  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o default -F _nixspace nixspace\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// zshCompletion lets zsh run the function for bash.
func zshCompletion(w io.Writer, verbs []verb) error {
	if _, err := io.WriteString(w, "autoload -Uz compinit bashcompinit && compinit && bashcompinit\n"); err != nil {
		return err
	}
	return bashCompletion(w, verbs)
}

func fishCompletion(w io.Writer, verbs []verb) error {
	var b strings.Builder
	quote := func(s string) string {
		return "'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", `\'`) + "'"
	}
	b.WriteString("complete -c nixspace -f\n")
	for _, v := range verbs {
		when := "__fish_use_subcommand"
		if len(v.path) > 0 {
			when = "__fish_seen_subcommand_from " + v.path[len(v.path)-1]
		}
		if len(v.path) > 0 {
			parent := "__fish_use_subcommand"
			if len(v.path) > 1 {
				parent = "__fish_seen_subcommand_from " + v.path[len(v.path)-2]
			}
			fmt.Fprintf(&b, "complete -c nixspace -n %s -a %s -d %s\n", quote(parent), v.path[len(v.path)-1], quote(v.help))
		}
		for _, f := range v.flags {
			fmt.Fprintf(&b, "complete -c nixspace -n %s -l %s", quote(when), f.Name)
			if f.Short != 0 {
				fmt.Fprintf(&b, " -s %c", f.Short)
			}
			if !f.IsBool() {
				b.WriteString(" -r")
			}
			fmt.Fprintf(&b, " -d %s\n", quote(f.Help))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
