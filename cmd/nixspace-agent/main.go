// Command nixspace-agent is the first process of a NixSpace guest.
package main

func main() {}
