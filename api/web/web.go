// Package web is the HTTP server: the GraphQL endpoint, uploads, the sockets to
// programs in sessions, health and metrics.
//
// docs/api.md describes what it serves.
package web

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"sync"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/auth"
	"github.com/nixspace/nixspace/api/code"
	"github.com/nixspace/nixspace/api/graph"
	"github.com/nixspace/nixspace/api/preview"
	"github.com/nixspace/nixspace/api/sshd"
	"github.com/nixspace/nixspace/app"
	"github.com/nixspace/nixspace/app/transfer"
)

// App is what the server asks for. [app.App] is the one that serves.
type App interface {
	graph.App
	PutWorkspace(ctx context.Context, r io.Reader) (nixspace.Workspace, error)
	Machine(ctx context.Context, ref string) (nixspace.Machine, error)
	Export(ctx context.Context, in transfer.ExportQuery) (*transfer.Export, error)
	ExperimentArtifact(ctx context.Context, ref string, seq int) ([]byte, error)
	Unpack(ctx context.Context, r io.Reader) (*nixspace.FetchedCode, error)
	Import(ctx context.Context, file io.ReadSeeker, in transfer.ImportQuery) (*transfer.Imported, error)
	// Admit returns the context of a request of an actor, which ends when what they
	// may do becomes less, and what to call when the request has ended.
	Admit(ctx context.Context, actor nixspace.Actor) (context.Context, func(), error)
}

var _ App = (*app.App)(nil)

// Config is what a server is made of. App, Auth and Log are required.
type Config struct {
	App  App
	Auth auth.Authenticator
	Log  *slog.Logger
	// Hosts are the names under which the server may be asked, besides localhost
	// and loopback addresses.
	Hosts   auth.Hosts
	Version string // shown to people

	// Site is the built web interface, index.html and what belongs to it. Without
	// it, GET / is a page that says how to use the command line.
	Site fs.FS
	// PathPrefix is the path below which a proxy puts the server, as
	// "/tools/nixspace", see [CheckPathPrefix]; empty for the whole host. What comes
	// without it is answered too, for proxies that take it off.
	PathPrefix string
	// SignIns answer POST /api/v1/sign-in, join and sign-out; nil for none.
	SignIns SignIns

	// SSH serves SSH to those who may work in a session; nil for nobody.
	SSH *sshd.Server

	// Previews answers on the hosts of previews; nil for none.
	Previews *preview.Proxy

	// Workbench is the editor, on its own host of each session, which needs Previews;
	// nil for none.
	Workbench *code.Site
	// Folder is what the editor opens; /workspace when empty.
	Folder string

	// Health, Ready and Metrics answer GET /healthz, /readyz and /metrics; a nil
	// one answers 404. The first two are for everybody, metrics for users only.
	Health, Ready, Metrics http.Handler

	// MaxWorkspace is how many bytes an upload may have, as it is sent;
	// 1 GiB when 0.
	MaxWorkspace int64
	// MaxFiles is how many bytes may be uploaded into a session at once; 4 GiB when 0.
	MaxFiles int64
	// MaxImport is how many bytes a file to import may have; 16 GiB when 0. What is
	// in it may have eight times as many, unpacked.
	MaxImport int64
	// Spool is the directory where a file is kept while it is imported; the system's
	// for temporary files when empty.
	Spool string
}

// Handler serves the API. It is safe for concurrent use.
type Handler struct {
	cfg  Config
	root http.Handler

	previews   http.Handler // nil for none
	operations []string     // the patterns of routes that the authorizer guards
	site       site         // nil for none

	// streams ends every request that would last as long as its client likes.
	streams context.Context
	stop    context.CancelFunc
	mu      sync.Mutex // guards open.Add against CloseStreams
	open    sync.WaitGroup
}

// New returns a handler of the whole API.
func New(cfg Config) *Handler {
	if cfg.MaxWorkspace == 0 {
		cfg.MaxWorkspace = 1 << 30
	}
	if cfg.MaxFiles == 0 {
		cfg.MaxFiles = 4 << 30
	}
	if cfg.MaxImport == 0 {
		cfg.MaxImport = 16 << 30
	}
	if cfg.Folder == "" {
		cfg.Folder = "/workspace"
	}
	h := &Handler{cfg: cfg}
	h.streams, h.stop = context.WithCancel(context.Background())
	if cfg.Site != nil {
		var err error
		if h.site, err = newSite(cfg.Site, cfg.PathPrefix); err != nil {
			cfg.Log.Error("the web interface cannot be read", "err", err)
		}
	}
	h.root = h.below(h.guard(h.routes()))
	if cfg.Previews != nil {
		h.previews = h.stream(h.preview)
		if cfg.Workbench != nil {
			cfg.Previews.HandleEditor(h.editor)
		}
	}
	return h
}

// Operations returns the names of the routes that the authorizer guards.
func (h *Handler) Operations() []string { return slices.Clone(h.operations) }

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// What a session serves and what the platform serves share nothing but the
	// listener: which of them is asked is decided here, by the host alone.
	if h.cfg.Previews != nil && h.cfg.Previews.Owns(r.Host) {
		h.previews.ServeHTTP(w, r)
		return
	}
	h.root.ServeHTTP(w, r)
}

func (h *Handler) routes() http.Handler {
	mux := http.NewServeMux()
	gql := graph.New(graph.Config{App: h.cfg.App, Log: h.cfg.Log, Version: h.cfg.Version})
	mux.Handle("/graphql", h.user(h.graphql(gql)))
	h.operation(mux, "PUT /api/v1/workspaces", http.HandlerFunc(h.putWorkspace))
	h.operation(mux, "PUT /api/v1/archives", http.HandlerFunc(h.putArchive))
	h.operation(mux, "GET /api/v1/export", h.stream(h.export))
	h.operation(mux, "GET /api/v1/experiments/{ref}/runs/{seq}/artifacts", h.stream(h.artifacts))
	h.operation(mux, "PUT /api/v1/imports", h.stream(h.putImport))
	h.operation(mux, "GET /api/v1/sessions/{ref}/exec", h.track(h.exec))
	h.operation(mux, "GET /api/v1/sessions/{ref}/shell", h.track(h.shell))
	h.operation(mux, "GET /api/v1/sessions/{ref}/logs", h.stream(h.logs))
	h.operation(mux, "GET /api/v1/sessions/{ref}/dial/{port}", h.track(h.dial))
	h.operation(mux, "GET /api/v1/sessions/{ref}/files", h.stream(h.getFiles))
	h.operation(mux, "PUT /api/v1/sessions/{ref}/files", h.stream(h.putFiles))
	h.operation(mux, "GET /api/v1/sessions/{ref}/list", h.stream(h.listFiles))
	if h.cfg.SSH != nil {
		h.operation(mux, "GET /api/v1/ssh", http.HandlerFunc(h.sshKey))
		h.operation(mux, "GET /api/v1/sessions/{ref}/ssh", h.track(h.ssh))
	}
	if h.cfg.Previews != nil {
		h.operation(mux, "POST /api/v1/sessions/{ref}/previews", http.HandlerFunc(h.previewLink))
		h.operation(mux, "POST /api/v1/sessions/{ref}/code", http.HandlerFunc(h.codeLink))
		h.operation(mux, "POST /api/v1/previews", http.HandlerFunc(h.previewLink))
	}
	for path, handler := range map[string]http.Handler{"GET /healthz": h.cfg.Health, "GET /readyz": h.cfg.Ready} {
		if handler != nil {
			mux.Handle(path, handler)
		}
	}
	if h.cfg.Metrics != nil {
		h.operation(mux, "GET /metrics", h.cfg.Metrics)
	}
	if h.cfg.SignIns != nil {
		mux.HandleFunc("POST /api/v1/sign-in", h.signIn)
		mux.HandleFunc("POST /api/v1/join", h.join)
		mux.HandleFunc("POST /api/v1/sign-out", h.signOut)
	}
	if h.site == nil {
		mux.HandleFunc("GET /{$}", h.landing)
	}
	mux.HandleFunc("/", h.page)
	return mux
}

// track serves a request that lasts as long as its client likes: the server
// waits for it when it stops. The request must end once h.streams does.
func (h *Handler) track(serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		if h.streams.Err() != nil {
			h.mu.Unlock()
			h.fail(w, r, nixspace.Errorf(nixspace.KindUnavailable, "server_stopping", "the server is stopping").
				WithHint("try again once it runs again"))
			return
		}
		h.open.Add(1)
		h.mu.Unlock()
		defer h.open.Done()
		serve(w, r)
	})
}

// stream is track for what ends when the request's context does.
func (h *Handler) stream(serve http.HandlerFunc) http.Handler {
	return h.track(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(h.streams, cancel)()
		serve(w, r.WithContext(ctx))
	})
}

// CloseStreams ends subscriptions, sockets and followed logs, refuses new ones,
// and waits until they are gone or ctx ends. [http.Server.Shutdown] does not
// know of them.
func (h *Handler) CloseStreams(ctx context.Context) error {
	h.mu.Lock()
	h.stop()
	h.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		h.open.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
