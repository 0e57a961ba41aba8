package stack

import (
	"fmt"
	"regexp"
	"strconv"
)

// The libraries by which programs talk to services. Only those that nobody
// installs without meaning the service are here.
var (
	npmClients = map[string]string{
		"pg": "postgresql", "pg-promise": "postgresql", "postgres": "postgresql", "@prisma/adapter-pg": "postgresql",
		"redis": "redis", "ioredis": "redis", "@redis/client": "redis", "bull": "redis", "bullmq": "redis", "connect-redis": "redis",
		"mysql": "mysql", "mysql2": "mysql", "mariadb": "mariadb", "mongodb": "mongodb", "mongoose": "mongodb",
		"amqplib": "rabbitmq-server", "kafkajs": "apacheKafka", "memcached": "memcached", "memjs": "memcached", "nats": "nats-server",
		"@elastic/elasticsearch": "elasticsearch", "@opensearch-project/opensearch": "opensearch",
	}
	goClients = map[string]string{
		"github.com/jackc/pgx": "postgresql", "github.com/lib/pq": "postgresql", "gorm.io/driver/postgres": "postgresql",
		"github.com/go-pg/pg": "postgresql", "github.com/uptrace/bun/driver/pgdriver": "postgresql",
		"github.com/redis/go-redis": "redis", "github.com/go-redis/redis": "redis", "github.com/gomodule/redigo": "redis",
		"github.com/redis/rueidis": "redis", "github.com/hibiken/asynq": "redis",
		"github.com/go-sql-driver/mysql": "mysql", "gorm.io/driver/mysql": "mysql", "go.mongodb.org/mongo-driver": "mongodb",
		"github.com/rabbitmq/amqp091-go": "rabbitmq-server", "github.com/streadway/amqp": "rabbitmq-server",
		"github.com/segmentio/kafka-go": "apacheKafka", "github.com/IBM/sarama": "apacheKafka", "github.com/Shopify/sarama": "apacheKafka",
		"github.com/nats-io/nats.go": "nats-server", "github.com/bradfitz/gomemcache": "memcached",
		"github.com/elastic/go-elasticsearch": "elasticsearch",
	}
	pythonClients = map[string]string{
		"psycopg": "postgresql", "psycopg2": "postgresql", "psycopg2-binary": "postgresql", "asyncpg": "postgresql", "pg8000": "postgresql",
		"redis": "redis", "django-redis": "redis", "rq": "redis", "aioredis": "redis",
		"mysqlclient": "mysql", "pymysql": "mysql", "aiomysql": "mysql", "pymongo": "mongodb", "motor": "mongodb", "mongoengine": "mongodb",
		"pika": "rabbitmq-server", "aio-pika": "rabbitmq-server", "kafka-python": "apacheKafka", "confluent-kafka": "apacheKafka",
		"pymemcache": "memcached", "python-memcached": "memcached", "elasticsearch": "elasticsearch", "nats-py": "nats-server",
	}
)

// client adds the service that a dependency is the client of.
func (f *file) client(clients map[string]string, dep string, no int) {
	if name, ok := clients[dep]; ok {
		f.service(Service{
			Name: name, Weight: Declared, Because: fmt.Sprintf("%s is a client of it", dep), Evidence: f.at(no),
		})
	}
}

// A port in a command: --port 3000, -p 3000, PORT=3000, 0.0.0.0:8000.
var portFlag = regexp.MustCompile(`(?:--port[ =]|(?:^|\s)-p[ =]?|\bPORT=|\b(?:0\.0\.0\.0|127\.0\.0\.1|localhost):)([0-9]{2,5})\b`)

// portOf returns the port that a command listens on, and 0 where it does not say.
func portOf(command string) int {
	if m := portFlag.FindStringSubmatch(command); m != nil {
		n, _ := strconv.Atoi(m[1])
		return n
	}
	return 0
}
