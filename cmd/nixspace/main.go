// Command nixspace is NixSpace: server, command line and session runner in one
// binary.
package main

func main() {}
