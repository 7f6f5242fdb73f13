package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk"
)

const (
	// writeTimeout bounds how long a client may take to read what was written to it.
	writeTimeout = 10 * time.Second
	// endTimeout bounds how long the answers of a server that ends may take.
	endTimeout = time.Second
)

// errEnding is the cause of the end of requests under way.
var errEnding = errors.New("filewatch is ending")

// Config is what a Server needs.
type Config struct {
	StateDir string // absolute and clean
	Daemon   Daemon
	Logger   hclog.Logger
}

// Server answers operators.
type Server struct {
	config Config
	http   *http.Server
	end    context.CancelCauseFunc // of all requests
	served sync.WaitGroup          // the goroutine of http
}

// Start makes the socket of a daemon and serves it until Close. The error says what to do.
func Start(c Config) (*Server, error) { return start(c, runDirs()) }

func start(c Config, dirs []string) (*Server, error) {
	l, err := listen(dirs, c.StateDir)
	if err != nil {
		return nil, fmt.Errorf("no control socket: %w", err)
	}
	ctx, end := context.WithCancelCause(context.Background())
	s := &Server{config: c, end: end}
	s.http = &http.Server{
		Handler:           s.handler(),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: writeTimeout,
		ErrorLog:          c.Logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
	}
	// One request a connection: a write deadline does not outlive its answer.
	s.http.SetKeepAlivesEnabled(false)
	s.served.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.Logger.Error("the control socket answers no more, restart filewatch", "path", l.path, "err", err)
		}
	})
	c.Logger.Debug("control socket", "path", l.path)
	return s, nil
}

// Close removes the socket and ends requests under way, which are told that the daemon is ending.
func (s *Server) Close() {
	s.end(errEnding)
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close() // cuts off whoever is left; the listener is closed already
	}
	s.served.Wait()
}

func (s *Server) handler() http.Handler {
	d := s.config.Daemon
	mux := http.NewServeMux()
	handle := func(pattern string, answer func(http.ResponseWriter, *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			result, err := answer(w, r)
			if err != nil {
				reply(w, asError(r, err))
			} else if result != nil {
				reply(w, result)
			}
		})
	}
	// act is the answer of what is done to one sync.
	act := func(do func(name string) (any, error)) func(http.ResponseWriter, *http.Request) (any, error) {
		return func(_ http.ResponseWriter, r *http.Request) (any, error) {
			name, err := one(r)
			if err != nil {
				return nil, err
			}
			result, err := do(name)
			return result, s.explain(name, err)
		}
	}
	handle("GET /v1/status", func(_ http.ResponseWriter, r *http.Request) (any, error) { return s.report(r) })
	handle("POST /v1/flush", func(_ http.ResponseWriter, r *http.Request) (any, error) { return struct{}{}, s.flush(r) })
	handle("POST /v1/pause", act(func(name string) (any, error) { return struct{}{}, d.Pause(name) }))
	handle("POST /v1/resume", act(func(name string) (any, error) { return struct{}{}, d.Resume(name) }))
	handle("POST /v1/resync", act(func(name string) (any, error) { return struct{}{}, d.Resync(name) }))
	handle("POST /v1/approve", act(func(name string) (any, error) {
		words, err := d.Approve(name)
		return approved{words}, err
	}))
	handle("POST /v1/verify", func(w http.ResponseWriter, r *http.Request) (any, error) { return nil, s.verify(w, r) })
	return mux
}

// approved is the answer to approve.
type approved struct {
	Approved []string `json:"approved"`
}

// report returns the state of the sync that a request names, or of everything.
func (s *Server) report(r *http.Request) (status.Report, error) {
	report := s.config.Daemon.Status()
	report.StateDir = s.config.StateDir
	name := r.URL.Query().Get("sync")
	if name == "" {
		return report, nil
	}
	i := slices.IndexFunc(report.Syncs, func(block status.Sync) bool { return block.Name == name })
	if i < 0 {
		return report, unknown(name, report.Syncs)
	}
	report.Syncs = report.Syncs[i : i+1]
	return report, nil
}

// one returns the name of the sync that a request must name.
func one(r *http.Request) (string, error) {
	name := r.URL.Query().Get("sync")
	if name == "" {
		return "", &Error{http.StatusBadRequest, "the name of a sync is missing"}
	}
	return name, nil
}

// explain returns the error of what was to be done to a sync. If there is none of that name, it says so:
// looking after the failure costs those nothing who write the name right.
func (s *Server) explain(name string, err error) error {
	if err == nil || name == "" {
		return err
	}
	syncs := s.config.Daemon.Status().Syncs
	if slices.ContainsFunc(syncs, func(block status.Sync) bool { return block.Name == name }) {
		return err
	}
	return unknown(name, syncs)
}

func unknown(name string, syncs []status.Sync) error {
	text := fmt.Sprintf("there is no sync %q", name)
	var known []string
	best, limit := "", 3 // two slips of the finger at most
	for _, s := range syncs {
		known = append(known, s.Name)
		if d := levenshtein.Distance(name, s.Name, nil); d < limit {
			best, limit = s.Name, d
		}
	}
	if best != "" {
		text += fmt.Sprintf("; did you mean %q?", best)
	}
	slices.Sort(known)
	return &Error{http.StatusNotFound, text + " (there are: " + strings.Join(known, ", ") + ")"}
}

func (s *Server) flush(r *http.Request) error {
	ctx := r.Context()
	if given := r.URL.Query().Get("timeout"); given != "" {
		timeout, err := time.ParseDuration(given)
		if err != nil || timeout <= 0 {
			return &Error{http.StatusBadRequest, fmt.Sprintf("the timeout %q is not a duration above 0, as 30s is", given)}
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, &Error{http.StatusGatewayTimeout, fmt.Sprintf("not everything is confirmed after %v", timeout)})
		defer cancel()
	}
	name := r.URL.Query().Get("sync")
	err := s.config.Daemon.Flush(ctx, name)
	if err != nil && errors.Is(err, ctx.Err()) {
		return context.Cause(ctx)
	}
	return s.explain(name, err)
}

func (s *Server) verify(w http.ResponseWriter, r *http.Request) error {
	name, err := one(r)
	if err != nil {
		return err
	}
	repair := false
	if given := r.URL.Query().Get("repair"); given != "" {
		if repair, err = strconv.ParseBool(given); err != nil {
			return &Error{http.StatusBadRequest, fmt.Sprintf("repair is %q, neither true nor false", given)}
		}
	}
	out := &lines{encoder: json.NewEncoder(w), conn: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "application/x-ndjson")
	err = s.config.Daemon.Verify(r.Context(), name, repair, func(destination string, d sdk.Difference) {
		out.write(line{Difference: &Difference{destination, d.Kind.String(), status.Quote(cmp.Or(d.Path, "."))}})
	})
	if err != nil {
		err = asError(r, s.explain(name, err))
	}
	return out.end(err)
}

// lines writes an answer line by line. When the client does not read, a write fails, and with it net/http ends
// the context of the request.
type lines struct {
	mu      sync.Mutex // guards the following
	encoder *json.Encoder
	conn    *http.ResponseController
	begun   bool // a line has been written
	over    bool // nothing is to be written any more
}

func (l *lines) write(v line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(v)
}

func (l *lines) put(v line) {
	if l.over {
		return
	}
	l.begun = true
	err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		err = l.encoder.Encode(v)
	}
	if err == nil {
		err = l.conn.Flush()
	}
	l.over = err != nil
}

// end writes the last line. It returns an error for which there is no need of one, since nothing has been
// written.
func (l *lines) end(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.over = true }()
	if err == nil {
		l.put(line{End: true})
		return nil
	}
	if !l.begun {
		return err
	}
	l.put(line{End: true, Error: err.Error()})
	return nil
}

// asError returns err as an answer.
func asError(r *http.Request, err error) *Error {
	if answer := (*Error)(nil); errors.As(err, &answer) {
		return answer
	}
	if cause := context.Cause(r.Context()); cause != nil && errors.Is(err, context.Canceled) {
		err = cause
	}
	return &Error{http.StatusConflict, err.Error()}
}

// failure is the answer that says why something could not be done.
type failure struct {
	Error string `json:"error"`
}

func reply(w http.ResponseWriter, result any) {
	// What the client does not read in time is lost with its connection.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.Header().Set("Content-Type", "application/json")
	if e, ok := result.(*Error); ok {
		w.WriteHeader(e.Status)
		result = failure{e.Text}
	}
	_ = json.NewEncoder(w).Encode(result)
}
