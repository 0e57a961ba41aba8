package graph

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/nixspace/nixspace/api/graph/gen"
)

// Config is what the API is made of. All fields but Version are required.
type Config struct {
	App     App
	Log     *slog.Logger
	Version string // of the server, for people
	// Origins are the hosts that may open a websocket from a web page, besides the
	// server's own.
	Origins []string
}

// New returns the handler of the endpoint: queries and mutations by POST,
// subscriptions by websocket (graphql-transport-ws) and by server-sent events.
// Whoever reaches it must be authenticated already (see package auth).
func New(cfg Config) http.Handler {
	srv := handler.New(gen.NewExecutableSchema(gen.Config{
		Resolvers:  &Resolver{app: cfg.App, version: cfg.Version},
		Complexity: complexity(),
	}))
	limit := int64(maxMessage)
	srv.AddTransport(transport.Websocket{
		Implementation: transport.CoderWebsocketImplementation{AcceptOptions: websocket.AcceptOptions{
			OriginPatterns:  cfg.Origins,
			CompressionMode: websocket.CompressionDisabled,
		}},
		InitTimeout:      10 * time.Second,
		PingPongInterval: 20 * time.Second,
		PayloadReadLimit: &limit,
	})
	// Before POST, which would take the same requests.
	srv.AddTransport(transport.SSE{KeepAlivePingInterval: 15 * time.Second})
	srv.AddTransport(transport.Options{})
	srv.AddTransport(transport.POST{})
	srv.SetQueryCache(lru.New[*ast.QueryDocument](500))
	srv.SetParserTokenLimit(maxTokens)
	srv.SetErrorPresenter(present(cfg.Log))
	srv.SetRecoverFunc(recovered(cfg.Log))
	srv.Use(extension.Introspection{})
	srv.Use(extension.AutomaticPersistedQuery{Cache: lru.New[string](100)})
	// In this order: what passes the first cannot overflow the second's sums.
	srv.Use(depthLimit{})
	srv.Use(extension.FixedComplexityLimit(maxComplexity))
	subs := &subscriptionLimit{}
	srv.AroundOperations(subs.around)
	srv.AroundFields(authorize(cfg.App))
	srv.AroundResponses(func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
		res := next(withLoaders(ctx, cfg.App))
		if res != nil {
			sortErrors(res.Errors)
		}
		return res
	})
	return srv
}
