package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/gateway"
)

// ListenApps opens the address of the second origin.
func ListenApps(ctx context.Context, config Config) (net.Listener, error) {
	return listen(ctx, "MLRIDE_APPS_LISTEN", config.AppsListen)
}

// AppsAddress is the second origin as people reach it, given where it listens.
func (c Config) AppsAddress(listener net.Addr) string {
	if c.AppsURL != "" {
		return string(c.AppsURL)
	}
	if c.TLS() {
		return "https://" + listener.String()
	}
	return "http://" + listener.String()
}

const (
	secretFile = "secret"
	secretSize = 32
)

// secret is the key that the data folder keeps, made where there is none. Who has
// it can make passes to containers' ports, for sign-ins that hold.
func secret(folder string) ([]byte, error) {
	file := filepath.Join(folder, secretFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		key := make([]byte, secretSize)
		if _, err := rand.Read(key); err != nil {
			return nil, err
		}
		return key, os.WriteFile(file, []byte(hex.EncodeToString(key)+"\n"), 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("MLRIDE_DATA: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != secretSize {
		// what is in it is not repeated
		return nil, fmt.Errorf("MLRIDE_DATA: %s does not hold a key; remove it to have another made, which ends what is open in containers", file)
	}
	return key, nil
}

func (h *house) newPorts(key []byte) *gateway.Ports {
	viewers := &viewers{config: h.config}
	return gateway.NewPorts(gateway.PortOptions{
		Client: h.store.Client, Lifecycle: h.lifecycle, Engine: h.engine, Accounts: h.accounts, Touch: h.idle.Touch, Key: key,
		Site: string(h.config.URL), Apps: string(h.config.AppsURL), TLS: h.config.TLS(),
		Reached: func(r *http.Request) (string, bool) {
			o := viewers.origin(r)
			return o.host, o.secure
		},
		Now: time.Now, Log: h.log,
	})
}

// Apps is the handler of the second origin.
type Apps struct {
	ports *gateway.Ports
	site  *site
	chain http.Handler
}

// NewApps puts what surrounds every request around the ports. site is the first
// origin's handler, whose settings hold here too.
func NewApps(ports *gateway.Ports, site *Handler) *Apps {
	a := &Apps{ports: ports, site: site.site}
	a.chain = a.outermost(ports)
	return a
}

// ServeHTTP answers one request.
func (a *Apps) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.chain.ServeHTTP(w, r) }

// Goodbye ends sockets and event streams.
func (a *Apps) Goodbye(ctx context.Context) error { return a.ports.Goodbye(ctx) }

// outermost gives a request its id and its line in the log. The site's own headers
// are not set: what a program's pages may do is the program's to say.
func (a *Apps) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, id, note := time.Now(), a.site.viewers.requestID(r), &note{}
		r = r.WithContext(auth.With(r.Context(), a.site.viewers.visitor(r, id)))
		w.Header().Set("X-Request-Id", id)
		out := &counter{ResponseWriter: w}
		// Also after the proxy has broken off by a panic that the server knows.
		defer func() { a.site.logLine(r, out, note, time.Since(began)) }()
		next.ServeHTTP(out, r)
	})
}

// serveBoth serves the two origins until ctx ends or one of them fails, which ends
// the other.
func serveBoth(ctx context.Context, l net.Listener, handler Drained, apps net.Listener, appsHandler Drained, config Config, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var both sync.WaitGroup
	var first, second error
	both.Go(func() {
		defer cancel()
		first = Serve(ctx, l, handler, config, log)
	})
	both.Go(func() {
		defer cancel()
		second = Serve(ctx, apps, appsHandler, config, log)
	})
	both.Wait()
	return errors.Join(first, second)
}
