package docker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
)

// recorder hands calls on to the engine and keeps what was asked.
type recorder struct {
	mu    sync.Mutex
	calls []call
}

type call struct {
	what string // method and path without version and names
	body []byte
}

var names = regexp.MustCompile(`^/v[0-9.]+|/(mlride-[^/]+|[0-9a-f]{64})`)

func (r *recorder) listen(t *testing.T) (host string) {
	t.Helper()
	raw := dockertest.Client(t)
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = "http", "engine" },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return raw.Dialer()(ctx) }},
	}
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
		r.mu.Lock()
		r.calls = append(r.calls, call{req.Method + " " + names.ReplaceAllString(req.URL.Path, ""), body})
		r.mu.Unlock()
		proxy.ServeHTTP(w, req)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "unix://" + socket
}

// filled are the paths of all fields of a body that are not empty.
func filled(at string, value any, into map[string]any) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			switch at {
			case "Labels", "HostConfig.Tmpfs", "HostConfig.LogConfig.Config", "Options":
				into[at] = v // names of their own
			case "":
				filled(name, inner, into)
			default:
				filled(at+"."+name, inner, into)
			}
		}
	case []any:
		for _, inner := range v {
			if inner == nil || inner == float64(0) {
				continue // the terminal's size that was not given
			}
			if _, object := inner.(map[string]any); object {
				filled(at, inner, into)
			} else {
				into[at] = v
			}
		}
	case nil:
	case bool, float64, string:
		if v != false && v != float64(0) && v != "" {
			into[at] = v
		}
	default:
		into[at] = v
	}
}

// TestP02NoCallAsksForTheHost: in all that is sent to the engine over a container's
// life, no field but these is filled, whatever the profile.
func TestP02NoCallAsksForTheHost(t *testing.T) {
	t.Parallel()
	allowed := map[string][]string{
		"POST /containers/create": {
			"Hostname", "Image", "Cmd", "Env", "Tty", "OpenStdin", "Labels", "User", "WorkingDir",
			"HostConfig.NetworkMode", "HostConfig.CapDrop", "HostConfig.CapAdd", "HostConfig.SecurityOpt", "HostConfig.Init",
			"HostConfig.IpcMode", "HostConfig.OomScoreAdj", "HostConfig.RestartPolicy.Name", "HostConfig.LogConfig.Type",
			"HostConfig.LogConfig.Config", "HostConfig.NanoCpus", "HostConfig.Memory", "HostConfig.MemorySwap", "HostConfig.PidsLimit",
			"HostConfig.Ulimits.Name", "HostConfig.Ulimits.Soft", "HostConfig.Ulimits.Hard", "HostConfig.ReadonlyRootfs", "HostConfig.Tmpfs",
		},
		"POST /containers/update": {"NanoCpus", "Memory", "MemorySwap"},
		"POST /networks/create": {
			"Name", "CheckDuplicate", "Driver", "Internal", "IPAM.Driver", "IPAM.Config.Subnet", "Options", "Labels",
		},
		"POST /networks/disconnect": {"Container", "Force"},
		"POST /networks/connect":    {"Container"},
	}
	for _, opts := range []docker.Options{{}, {Strict: true, NoInternet: true}} {
		t.Run(fmt.Sprintf("strict %t", opts.Strict), func(t *testing.T) {
			t.Parallel()
			var r recorder
			b := newBox(t, dockertest.Instance())
			opts.Host = r.listen(t)
			e := b.adapter(opts)
			spec := b.spec("usr_1", 0)
			spec.Environment, spec.Hostname = []string{"A=1"}, "host"
			require.NoError(t, e.Create(b.ctx, spec))
			require.NoError(t, e.Start(b.ctx, spec.ID))
			require.NoError(t, e.Update(b.ctx, spec.ID, engine.Limits{NanoCPUs: 250_000_000, Memory: 2 * b.memory}))
			require.NoError(t, e.Pause(b.ctx, spec.ID))
			require.NoError(t, e.Unpause(b.ctx, spec.ID))
			require.NoError(t, e.Stop(b.ctx, spec.ID, 0))
			(&host{t: t, c: dockertest.Client(t), instance: b.instance}).DropNetwork("usr_1")
			require.NoError(t, e.Start(b.ctx, spec.ID))
			require.NoError(t, e.Remove(b.ctx, spec.ID))
			require.NoError(t, e.PruneNetworks(b.ctx, nil, 0))

			seen := map[string]bool{}
			for _, c := range r.calls {
				seen[c.what] = true
				if len(c.body) == 0 {
					continue
				}
				var body any
				require.NoError(t, json.Unmarshal(c.body, &body), "%s", c.what)
				fields := map[string]any{}
				filled("", body, fields)
				for field, value := range fields {
					require.Contains(t, allowed[c.what], field, "%s: %v", c.what, value)
				}
				if c.what == "POST /containers/create" {
					require.Equal(t, "mlride-"+b.instance+"-usr_1", fields["HostConfig.NetworkMode"])
					require.Equal(t, "private", fields["HostConfig.IpcMode"])
				}
				if c.what == "POST /networks/create" {
					require.Equal(t, "bridge", fields["Driver"])
				}
			}
			for _, what := range []string{
				"POST /containers/create", "POST /containers/start", "POST /containers/update", "POST /networks/create", "DELETE /containers", "DELETE /networks",
			} {
				require.True(t, seen[what], "%s was not seen among %v", what, seen)
			}
		})
	}
}
