package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/filewatch/filewatch/core/internal/status"
)

// answerTimeout bounds how long a daemon may take for what it does at once.
const answerTimeout = 10 * time.Second

// Client asks the daemon of one state directory. Its methods may be called concurrently. They fail with a
// *NotRunningError when there is no such daemon, and with an *Error when it cannot do what was asked.
type Client struct {
	dirs     []string
	stateDir string
	http     *http.Client
}

// New returns a client of the daemon with a state directory, whether it runs or not.
func New(stateDir string) *Client { return newClient(runDirs(), stateDir) }

func newClient(dirs []string, stateDir string) *Client {
	c := &Client{dirs: dirs, stateDir: stateDir}
	c.http = clientOf(c.dial)
	return c
}

func clientOf(dial func(context.Context) (net.Conn, error)) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableKeepAlives: true,
	}}
}

// NotRunningError tells that no daemon was found.
type NotRunningError struct {
	StateDir string
	Reasons  []error // why some places could not be looked into
}

func (e *NotRunningError) Error() string {
	text := "no filewatch runs with the state directory " + status.Quote(e.StateDir)
	for _, reason := range e.Reasons {
		text += "; " + reason.Error()
	}
	return text
}

// dial connects to the daemon. It trusts only sockets that nobody but us and root can have made.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	missing := &NotRunningError{StateDir: c.stateDir}
	for _, dir := range c.dirs {
		path := socketIn(dir, c.stateDir)
		err := trusted(dir)
		if err == nil {
			var conn net.Conn
			if conn, err = connect(ctx, path); err == nil {
				return conn, nil
			}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			missing.Reasons = append(missing.Reasons, err)
		}
	}
	return nil, missing
}

// connect connects to a socket. A dead one is like none.
func connect(ctx context.Context, path string) (net.Conn, error) {
	if len(path) > maxPath {
		return nil, fs.ErrNotExist // no daemon can have made it
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if errors.Is(err, syscall.ECONNREFUSED) {
		err = fs.ErrNotExist
	}
	return conn, err
}

// Others returns the daemons of the same user, or root, that run with other state directories.
func (c *Client) Others(ctx context.Context) (found []status.Report) {
	for _, dir := range c.dirs {
		if trusted(dir) != nil {
			continue
		}
		entries, _ := os.ReadDir(dir)
		for _, entry := range entries {
			path := filepath.Join(dir, entry.Name())
			if filepath.Ext(path) != ".sock" {
				continue
			}
			other := &Client{http: clientOf(func(ctx context.Context) (net.Conn, error) { return connect(ctx, path) })}
			if report, err := other.Status(ctx, ""); err == nil && report.StateDir != c.stateDir {
				found = append(found, report)
			}
		}
	}
	return found
}

// Status returns the state of a sync, or of all for "".
func (c *Client) Status(ctx context.Context, name string) (status.Report, error) {
	var report status.Report
	err := c.ask(ctx, http.MethodGet, "status", url.Values{"sync": {name}}, answerTimeout, &report)
	return report, err
}

// Flush returns nil once every change that was made before the call is confirmed at every destination of a
// sync, or of all for "". It is an error at once when that cannot be, and after the timeout.
func (c *Client) Flush(ctx context.Context, name string, timeout time.Duration) error {
	return c.ask(ctx, http.MethodPost, "flush", url.Values{"sync": {name}, "timeout": {timeout.String()}}, timeout+answerTimeout, nil)
}

// Pause stops the transfers of a sync.
func (c *Client) Pause(ctx context.Context, name string) error { return c.act(ctx, "pause", name, nil) }

// Resume ends a pause.
func (c *Client) Resume(ctx context.Context, name string) error {
	return c.act(ctx, "resume", name, nil)
}

// Resync asks for a comparison of everything, and does not wait for it.
func (c *Client) Resync(ctx context.Context, name string) error {
	return c.act(ctx, "resync", name, nil)
}

// Approve lets what is held through, once, and returns what that is, in words.
func (c *Client) Approve(ctx context.Context, name string) ([]string, error) {
	var a approved
	err := c.act(ctx, "approve", name, &a)
	return a.Approved, err
}

func (c *Client) act(ctx context.Context, what, name string, into any) error {
	return c.ask(ctx, http.MethodPost, what, url.Values{"sync": {name}}, answerTimeout, into)
}

// Verify compares a sync with its destinations and calls found for each difference. With repair it mends
// them. Without an error the comparison is complete, and everything mended. A found that takes long does not
// make the daemon wait: what it has not taken is kept in memory.
func (c *Client) Verify(ctx context.Context, name string, repair bool, found func(Difference)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := c.send(ctx, http.MethodPost, "verify", url.Values{"sync": {name}, "repair": {strconv.FormatBool(repair)}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var result error // written before the spool's end
	waiting := newSpool()
	go func() {
		defer waiting.end()
		result = readLines(resp.Body, waiting.add)
	}()
	waiting.each(found)
	if result != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return result
}

func readLines(r io.Reader, found func(Difference)) error {
	decoder := json.NewDecoder(r)
	for {
		var l line
		if err := decoder.Decode(&l); err != nil {
			return fmt.Errorf("the daemon ended before the comparison was complete: %w", err)
		}
		switch {
		case l.Error != "":
			return &Error{http.StatusConflict, l.Error}
		case l.End:
			return nil
		case l.Difference != nil:
			found(*l.Difference)
		}
	}
}

// ask sends a request and reads the answer, if it is wanted.
func (c *Client) ask(ctx context.Context, method, what string, query url.Values, timeout time.Duration, into any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errors.New("the daemon does not answer"))
	defer cancel()
	resp, err := c.send(ctx, method, what, query)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into == nil {
		into = new(struct{})
	}
	// An answer that is cut off says nothing.
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("the daemon ended before it answered: %w", err)
	}
	return nil
}

// send returns the answer of the daemon when it is not an error.
func (c *Client) send(ctx context.Context, method, what string, query url.Values) (*http.Response, error) {
	// The host is never looked up; dial knows where to go.
	req, err := http.NewRequestWithContext(ctx, method, "http://filewatch/v1/"+what+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if missing := (*NotRunningError)(nil); errors.As(err, &missing) {
			return nil, missing
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("the daemon ended before it answered: %w", errors.Unwrap(err))
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var f failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&f); err != nil || f.Error == "" {
		f.Error = "the daemon answered " + strings.ToLower(resp.Status)
	}
	return nil, &Error{resp.StatusCode, f.Error}
}
