package stack

import (
	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/stack/syntax"
)

var phpClients = map[string]string{
	"ext-pgsql": "postgresql", "ext-pdo_pgsql": "postgresql", "ext-redis": "redis", "predis/predis": "redis",
	"ext-mysqli": "mysql", "ext-pdo_mysql": "mysql", "ext-mongodb": "mongodb", "mongodb/mongodb": "mongodb", "ext-memcached": "memcached",
	"php-amqplib/php-amqplib": "rabbitmq-server", "ext-amqp": "rabbitmq-server",
}

func detectPHP(f *folder) {
	file := f.open("composer.json")
	if file == nil {
		return
	}
	root := file.tree(syntax.JSON)
	f.implied("php", "composer.json", "the project is of PHP")
	f.implied("composer", "composer.json", "it installs the project's packages")
	if n := root.Get("require", "php"); n != nil {
		file.need("php", constraint.Composer, n.Text(), Declared, n.Line, "")
	}
	if n := root.Get("config", "platform", "php"); n != nil {
		file.need("php", constraint.Pin, n.Text(), Pinned, n.Line, "")
	}
	for _, dep := range root.Get("require").All() {
		file.client(phpClients, dep.Name, dep.Line)
	}
	f.step("composer install", f.whole("composer.json"))
	for _, name := range usualScripts {
		if n := root.Get("scripts", name); n != nil {
			f.script(name, "composer run "+name, file.at(n.Line))
		}
	}
	switch n := root.Get("require", "laravel/framework"); {
	case n != nil:
		f.script("dev", "php artisan serve", file.at(n.Line))
		f.script("test", "php artisan test", file.at(n.Line))
		f.script("migrate", "php artisan migrate", file.at(n.Line))
		f.port("web", 8000, Implied, file.at(n.Line))
	case f.first("phpunit.xml", "phpunit.xml.dist") != "":
		f.script("test", "php vendor/bin/phpunit", f.whole(f.first("phpunit.xml", "phpunit.xml.dist")))
	}
}
