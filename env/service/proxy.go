package service

import (
	"net"
	"strconv"

	"github.com/nixspace/nixspace"
)

// proxyEnv are the variables that lead programs to the way out of a session.
func proxyEnv() map[string]string {
	const direct = "localhost,127.0.0.1,::1"
	proxy := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(nixspace.EgressPort))
	return map[string]string{
		// Both cases: programs know one or the other.
		"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": direct,
		"http_proxy": proxy, "https_proxy": proxy, "no_proxy": direct,
		// npm, whose own configuration files would win over the general ones.
		"npm_config_proxy": proxy, "npm_config_https_proxy": proxy, "npm_config_noproxy": direct,
		"PIP_PROXY": proxy,
		// Not NODE_USE_ENV_PROXY: Node.js 22 warns of it whenever it starts.
	}
}
