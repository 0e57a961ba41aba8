package stack

import (
	"regexp"
	"strings"

	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/stack/syntax"
)

var javaClients = map[string]string{
	"org.postgresql:postgresql": "postgresql", "org.postgresql:r2dbc-postgresql": "postgresql",
	"redis.clients:jedis": "redis", "io.lettuce:lettuce-core": "redis", "org.redisson:redisson": "redis",
	"org.springframework.boot:spring-boot-starter-data-redis": "redis", "io.quarkus:quarkus-jdbc-postgresql": "postgresql",
	"io.quarkus:quarkus-redis-client": "redis", "com.mysql:mysql-connector-j": "mysql", "mysql:mysql-connector-java": "mysql",
	"org.mariadb.jdbc:mariadb-java-client": "mariadb", "org.mongodb:mongodb-driver-sync": "mongodb",
	"org.springframework.boot:spring-boot-starter-data-mongodb": "mongodb", "org.springframework.boot:spring-boot-starter-amqp": "rabbitmq-server",
	"com.rabbitmq:amqp-client": "rabbitmq-server", "org.apache.kafka:kafka-clients": "apacheKafka", "org.springframework.kafka:spring-kafka": "apacheKafka",
}

func detectMaven(f *folder) {
	file := f.open("pom.xml")
	if file == nil {
		return
	}
	project := file.tree(syntax.XML).Get("project")
	f.implied("jdk", "pom.xml", "the project is of Java")
	properties := project.Get("properties")
	for _, key := range []string{"maven.compiler.release", "java.version", "maven.compiler.target", "maven.compiler.source", "jdk.version"} {
		if n := properties.Get(key); n != nil && !strings.Contains(n.Text(), "${") {
			file.need("jdk", constraint.Maven, n.Text(), Declared, n.Line, "")
			break
		}
	}
	for _, d := range project.Get("dependencies").All() {
		file.client(javaClients, d.Get("groupId").Text()+":"+d.Get("artifactId").Text(), d.Line)
	}
	if f.partOf("pom.xml") {
		return
	}
	mvn := "mvn"
	if f.has("mvnw") {
		mvn = "./mvnw"
	} else {
		f.implied("maven", "pom.xml", "it builds the project")
	}
	f.step(mvn+" -B -q dependency:go-offline", f.whole("pom.xml"))
	f.script("test", mvn+" test", f.whole("pom.xml"))
	f.script("build", mvn+" package", f.whole("pom.xml"))
	if parent := project.Get("parent", "artifactId"); parent.Text() == "spring-boot-starter-parent" {
		f.script("start", mvn+" spring-boot:run", file.at(parent.Line))
		f.port("web", 8080, Implied, file.at(parent.Line))
	}
}

// partOf reports whether this is a part of a project above, of the same kind.
func (f *folder) partOf(name string) bool { return !f.root() && f.above(name) }

var (
	gradleJava = regexp.MustCompile(`(?:JavaLanguageVersion\.of|jvmToolchain|languageVersion\.set)\s*\(\s*(?:JavaLanguageVersion\.of\(\s*)?["']?([0-9]+)` +
		`|(?:sourceCompatibility|targetCompatibility|jvmTarget)\s*(?:=|\s)\s*(?:JavaVersion\.VERSION_)?["']?([0-9]+(?:[._][0-9]+)?)`)
	gradleDependency = regexp.MustCompile(`["']([A-Za-z0-9._-]+:[A-Za-z0-9._-]+)(?::[^"']*)?["']`)
)

func detectGradle(f *folder) {
	file := f.open(f.first("build.gradle.kts", "build.gradle", "app/build.gradle"))
	if file == nil {
		return
	}
	f.implied("jdk", f.first("build.gradle.kts", "build.gradle"), "the project is of Java")
	spring := 0
	for _, l := range file.lines() {
		if strings.HasPrefix(l.text, "//") {
			continue
		}
		if m := gradleJava.FindStringSubmatch(l.text); m != nil {
			file.need("jdk", constraint.Maven, strings.ReplaceAll(m[1]+m[2], "_", "."), Declared, l.no, "")
		}
		if m := gradleDependency.FindStringSubmatch(l.text); m != nil {
			file.client(javaClients, m[1], l.no)
		}
		if strings.Contains(l.text, "org.springframework.boot") && spring == 0 {
			spring = l.no
		}
	}
	if f.partOf("settings.gradle") || f.partOf("settings.gradle.kts") {
		return
	}
	gradle := "gradle"
	if f.has("gradlew") {
		gradle = "./gradlew"
	} else {
		f.implied("gradle", f.first("build.gradle.kts", "build.gradle"), "it builds the project")
	}
	at := f.whole(f.first("build.gradle.kts", "build.gradle"))
	f.step(gradle+" dependencies", at)
	f.script("test", gradle+" test", at)
	f.script("build", gradle+" build", at)
	if spring > 0 {
		f.script("start", gradle+" bootRun", file.at(spring))
		f.port("web", 8080, Implied, file.at(spring))
	}
}
