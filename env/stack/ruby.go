package stack

import (
	"regexp"
	"strings"

	"github.com/nixspace/nixspace/env/constraint"
)

var rubyClients = map[string]string{
	"pg": "postgresql", "redis": "redis", "redis-client": "redis", "sidekiq": "redis", "resque": "redis", "mysql2": "mysql", "trilogy": "mysql",
	"mongoid": "mongodb", "mongo": "mongodb", "bunny": "rabbitmq-server", "dalli": "memcached", "ruby-kafka": "apacheKafka",
	"elasticsearch": "elasticsearch", "searchkick": "elasticsearch",
}

var (
	rubyLine  = regexp.MustCompile(`^ruby\s*\(?\s*((?:["'][^"']*["']\s*,?\s*)+)`)
	gemLine   = regexp.MustCompile(`^gem\s*\(?\s*["']([^"']+)["']`)
	quotedOne = regexp.MustCompile(`["']([^"']*)["']`)
	lockRuby  = regexp.MustCompile(`^ruby ([0-9]+(?:\.[0-9]+)*)`)
)

func detectRuby(f *folder) {
	file := f.open("Gemfile")
	if file == nil {
		return
	}
	f.implied("ruby", "Gemfile", "the project is of Ruby")
	rails := 0
	for _, l := range file.lines() {
		if m := rubyLine.FindStringSubmatch(l.text); m != nil {
			var parts []string
			for _, q := range quotedOne.FindAllStringSubmatch(m[1], -1) {
				parts = append(parts, q[1])
			}
			file.need("ruby", constraint.Ruby, strings.Join(parts, ", "), Declared, l.no, "")
		}
		if m := gemLine.FindStringSubmatch(l.text); m != nil {
			file.client(rubyClients, m[1], l.no)
			if m[1] == "rails" {
				rails = l.no
			}
		}
	}
	if lock := f.open("Gemfile.lock"); lock != nil {
		for _, l := range lock.lines() {
			if m := lockRuby.FindStringSubmatch(l.text); m != nil {
				lock.need("ruby", constraint.Pin, m[1], Built, l.no, "")
			}
		}
	}
	f.step("bundle install", f.whole("Gemfile"))
	switch {
	case f.has(".rspec"):
		f.script("test", "bundle exec rspec", f.whole(".rspec"))
	case rails > 0:
		f.script("test", "bin/rails test", file.at(rails))
	case f.has("Rakefile"):
		f.script("test", "bundle exec rake test", f.whole("Rakefile"))
	}
	if rails > 0 {
		f.script("dev", "bin/rails server", file.at(rails))
		f.script("migrate", "bin/rails db:prepare", file.at(rails))
		f.port("web", 3000, Implied, file.at(rails))
	}
}
