// Command tool shows how many letters the words have that were counted.
package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	out, err := exec.Command("redis-cli", "-u", cmp.Or(os.Getenv("REDIS_URL"), "redis://127.0.0.1:6379"), "HGETALL", "letters").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Redis does not answer:", err)
		os.Exit(1)
	}
	fmt.Print(table(strings.Split(strings.TrimSpace(string(out)), "\n")))
}

// table writes names and values, which follow each other, one pair a line.
func table(lines []string) string {
	var rows []string
	for pair := range slices.Chunk(lines, 2) {
		if len(pair) == 2 {
			rows = append(rows, fmt.Sprintf("%-20s %s\n", pair[0], pair[1]))
		}
	}
	slices.Sort(rows)
	return strings.Join(rows, "")
}
